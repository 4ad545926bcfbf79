with signals as (
    select * from {{ ref('stg_signals') }}
),

equity as (
    select * from {{ ref('stg_equity_daily') }}
),

performance as (
    select * from {{ ref('stg_performance_daily') }}
    where scope = 'account'
),

trades as (
    select
        *,
        -- The UTC day, by arithmetic: a cast would follow the session's time zone.
        date '1970-01-01' + cast(floor(epoch(closed_at) / 86400) as integer) as closed_day
    from {{ ref('fct_trades') }}
),

signals_of_day as (
    select
        tenant,
        account,
        signal_date as day,
        count(*) as decisions,
        count(*) filter (suggestion = 'LONG') as long_signals,
        count(*) filter (suggestion = 'SHORT') as short_signals,
        count(*) filter (suggestion = 'WAIT') as wait_signals
    from signals
    group by all
),

opened_on_day as (
    select
        tenant,
        account,
        trade_date as day,
        count(*) as trades_opened
    from trades
    group by all
),

closed_on_day as (
    select
        tenant,
        account,
        closed_day as day,
        count(*) as trades_closed,
        count(*) filter (is_win) as wins,
        cast(coalesce(sum(net_pnl) filter (net_pnl > 0), 0) as double) as won,
        -cast(sum(net_pnl) filter (net_pnl < 0) as double) as lost,
        sum(result_r) as total_r,
        avg(result_r) as mean_r,
        max(result_r) as best_r,
        min(result_r) as worst_r
    from trades
    where not is_open
    group by all
),

days as (
    select tenant, account, day from signals_of_day
    union
    select tenant, account, day from equity
    union
    select tenant, account, day from opened_on_day
    union
    select tenant, account, day from closed_on_day
),

joined as (
    select
        days.tenant || '/' || days.account || '/' || strftime(days.day, '%Y-%m-%d') as account_day_id,
        days.tenant,
        days.account,
        days.day,
        equity.opening_balance,
        equity.closing_balance,
        equity.closing_equity,
        equity.deposits,
        equity.net_pnl,
        equity.return_share,
        equity.high_water_mark,
        equity.drawdown,
        equity.max_drawdown_share,
        equity.under_water_s,
        equity.longest_under_water_s,
        equity.average_net_pnl,
        equity.pnl_volatility,
        equity.reporting_currency,
        equity.converted_net_pnl,
        coalesce(signals_of_day.decisions, 0) as decisions,
        coalesce(signals_of_day.long_signals, 0) as long_signals,
        coalesce(signals_of_day.short_signals, 0) as short_signals,
        coalesce(signals_of_day.wait_signals, 0) as wait_signals,
        coalesce(opened_on_day.trades_opened, 0) as trades_opened,
        coalesce(closed_on_day.trades_closed, 0) as trades_closed,
        coalesce(closed_on_day.wins, 0) as wins,
        closed_on_day.wins / nullif(closed_on_day.trades_closed, 0) as win_share,
        closed_on_day.won / nullif(closed_on_day.lost, 0) as profit_factor,
        closed_on_day.total_r,
        closed_on_day.mean_r,
        closed_on_day.best_r,
        closed_on_day.worst_r,
        performance.pips,
        performance.mean_holding_s,
        array_to_string(performance.models, ', ') as models,
        performance.cumulative_pnl,
        performance.high_water_pnl,
        performance.expectancy_r,
        performance.observations,
        performance.annual_return_share,
        performance.sharpe_ratio,
        performance.sortino_ratio,
        performance.calmar_ratio,
        performance.max_drawdown_share as compounded_max_drawdown_share
    from days
    left join equity using (tenant, account, day)
    left join performance using (tenant, account, day)
    left join signals_of_day using (tenant, account, day)
    left join opened_on_day using (tenant, account, day)
    left join closed_on_day using (tenant, account, day)
)

select * from joined
