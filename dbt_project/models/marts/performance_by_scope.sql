with days as (
    select * from {{ ref('stg_performance_daily') }}
),

final as (
    select
        tenant || '/' || account || '/' || scope || '/' || scope_name || '/' || strftime(day, '%Y-%m-%d') as scope_day_id,
        tenant,
        account,
        scope,
        scope_name,
        day,
        net_pnl,
        deal_count,
        array_to_string(models, ', ') as models,
        trades_closed,
        wins,
        win_share,
        profit_factor,
        best_net_pnl,
        worst_net_pnl,
        pips,
        mean_holding_s,
        total_r,
        mean_r,
        cumulative_pnl,
        high_water_pnl,
        drawdown,
        max_drawdown,
        trades_so_far,
        average_net_pnl,
        win_share_so_far,
        profit_factor_so_far,
        pips_so_far,
        mean_holding_s_so_far,
        expectancy_r,
        observations,
        pnl_volatility,
        annual_return_share,
        sharpe_ratio,
        sortino_ratio,
        calmar_ratio,
        max_drawdown_share
    from days
)

select * from final
