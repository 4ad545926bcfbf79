-- The latest judgement on each model that decided anything.
with source as (
    select * from {{ source('lake', 'promotions') }}
),

renamed as (
    select
        model_version,
        tenant,
        judged_at,
        verdict,
        release_id,
        blend
    from source
    where action <> 'hold'
    qualify row_number() over (partition by tenant, model_version order by judged_at desc, account) = 1
)

select * from renamed
