with source as (
    select * from {{ source('lake', 'pnl_events') }}
),

renamed as (
    select
        deal_ticket,
        tenant,
        account,
        kind,
        event_at as dealt_at,
        trade_id,
        signal_id,
        symbol,
        amount
    from source
)

select * from renamed
