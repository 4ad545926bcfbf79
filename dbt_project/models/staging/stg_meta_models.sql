-- A model that was trained again from the same rows has the same version: the latest evaluation counts. A model may decide for other
-- tenants than the one whose row it was trained on first.
with source as (
    select * from {{ source('lake', 'meta_models') }}
),

renamed as (
    select
        model_version,
        tenant,
        trained_at,
        dataset_version,
        row_count,
        brier_score,
        brier_reference,
        auc,
        calibration_error,
        expectancy_r,
        selected_expectancy_r
    from source
    qualify row_number() over (partition by model_version order by trained_at desc, tenant, account) = 1
)

select * from renamed
