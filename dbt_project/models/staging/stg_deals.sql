-- A deal that was told again is the same deal: its money and type are as told last, everything else as told first.
with source as (
    select
        *,
        row_number() over (partition by tenant, account, deal_ticket order by known_at, journal_index) as telling,
        last_value(profit + commission + swap + fee) over (
            partition by tenant, account, deal_ticket order by known_at, journal_index
            rows between unbounded preceding and unbounded following
        ) as amount_told_last,
        last_value(kind) over (
            partition by tenant, account, deal_ticket order by known_at, journal_index
            rows between unbounded preceding and unbounded following
        ) as kind_told_last
    from {{ source('lake', 'raw_deals') }}
),

renamed as (
    select
        deal_ticket,
        tenant,
        account,
        position_id,
        trade_id,
        signal_id,
        symbol,
        kind_told_last as kind,
        event_at as dealt_at,
        known_at,
        amount_told_last as amount
    from source
    where telling = 1
)

select * from renamed
