with source as (
    select * from {{ source('lake', 'candidates') }}
),

renamed as (
    select
        idea_id,
        tenant,
        account,
        signal_id,
        symbol,
        timeframe,
        decided_at,
        kind,
        exit_profile,
        rule_score,
        win_probability,
        blended_score,
        is_chosen
    from source
)

select * from renamed
