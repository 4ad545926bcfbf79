with outcomes as (
    select * from {{ ref('stg_outcomes') }}
),

trades as (
    select * from {{ ref('fct_trades') }}
),

final as (
    select
        outcomes.trade_id,
        outcomes.tenant,
        outcomes.account,
        outcomes.signal_id,
        trades.chain_id,
        trades.symbol,
        trades.side,
        trades.strategy_version,
        trades.model_version,
        trades.exit_profile,
        trades.opened_at,
        outcomes.closed_at,
        outcomes.exit_reason,
        outcomes.net_pnl,
        trades.is_win,
        outcomes.result_r,
        outcomes.mae_r,
        outcomes.mfe_r,
        outcomes.time_to_mfe_s,
        outcomes.time_to_target_s,
        outcomes.holding_s,
        outcomes.realised_volatility,
        outcomes.slippage_points,
        outcomes.mark_count,
        trades.win_probability,
        trades.labelled_barrier,
        trades.labelled_result_r
    from outcomes
    left join trades
        on outcomes.tenant = trades.tenant and outcomes.account = trades.account and outcomes.trade_id = trades.trade_id
)

select * from final
