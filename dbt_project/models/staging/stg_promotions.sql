-- The latest judgement on each model that decided anything. A version is the hash of the model: whose tenant it is told under, the
-- asset half's own, says nothing.
with source as (
    select * from {{ source('lake', 'promotions') }}
),

renamed as (
    select
        model_version,
        judged_at,
        verdict,
        release_id,
        blend
    from source
    where action <> 'hold'
    qualify row_number() over (partition by model_version order by judged_at desc, account) = 1
)

select * from renamed
