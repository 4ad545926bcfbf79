with source as (
    select * from {{ source('lake', 'pnl_events') }}
),

renamed as (
    select
        deal_ticket,
        tenant,
        account,
        kind,
        revision,
        event_at as dealt_at,
        known_at,
        position_id,
        trade_id,
        signal_id,
        symbol,
        amount,
        deal_fees,
        source as deal_reason,
        slippage_points
    from source
)

select * from renamed
