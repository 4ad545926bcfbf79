with days as (
    select * from {{ ref('stg_strategy_daily') }}
),

final as (
    select
        tenant || '/' || account || '/' || strategy_version || '/' || model_version || '/' || strftime(day, '%Y-%m-%d') as strategy_day_id,
        tenant,
        account,
        strategy_version,
        model_version,
        day,
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
    from days
)

select * from final
