with source as (
    select * from {{ source('lake', 'strategy_daily') }}
),

renamed as (
    select
        tenant,
        account,
        date as day,
        strategy_version,
        model_version,
        balance,
        unrealised_pnl,
        equity,
        high_water_mark,
        drawdown,
        drawdown_share,
        under_water_since_at,
        under_water_s,
        max_drawdown,
        max_drawdown_share,
        longest_under_water_s,
        open_trades,
        trades,
        average_net_pnl,
        trade_pnl_volatility
    from source
)

select * from renamed
