with source as (
    select * from {{ source('lake', 'trades') }}
),

renamed as (
    select
        trade_id,
        tenant,
        account,
        date as trade_date,
        signal_id,
        idea_id,
        position_id,
        symbol,
        side,
        opened_at,
        closed_at,
        is_open,
        volume_lots,
        entry_price,
        exit_price,
        stop_price,
        target_price,
        risk_unit,
        exit_reason,
        gross_pnl,
        commission,
        swap,
        fee,
        net_pnl,
        deal_count
    from source
)

select * from renamed
