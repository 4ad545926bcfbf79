with trades as (
    select * from {{ ref('stg_trades') }}
),

signals as (
    select * from {{ ref('stg_signals') }}
),

candidates as (
    select * from {{ ref('stg_candidates') }}
),

outcomes as (
    select * from {{ ref('stg_outcomes') }}
),

labels as (
    select * from {{ ref('stg_labels') }}
),

joined as (
    select
        trades.trade_id,
        trades.tenant,
        trades.account,
        trades.trade_date,
        trades.signal_id,
        trades.idea_id,
        signals.chain_id,
        trades.position_id,
        trades.symbol,
        trades.side,
        signals.timeframe,
        signals.mode,
        signals.strategy_version,
        signals.feature_set_version,
        signals.release_id,
        signals.model_version,
        candidates.exit_profile,
        signals.decided_at,
        trades.opened_at,
        trades.closed_at,
        trades.is_open,
        epoch(trades.opened_at) - epoch(signals.decided_at) as entry_delay_s,
        signals.regime,
        signals.regime_confidence,
        signals.consensus,
        signals.dispersion,
        signals.confidence,
        signals.quality_score,
        candidates.rule_score,
        candidates.win_probability,
        candidates.blended_score,
        trades.volume_lots,
        signals.risk_amount,
        signals.entry_price as decided_entry_price,
        trades.entry_price,
        trades.exit_price,
        trades.stop_price,
        trades.target_price,
        trades.risk_unit,
        coalesce(outcomes.exit_reason, trades.exit_reason) as exit_reason,
        trades.gross_pnl,
        trades.commission,
        trades.swap,
        trades.fee,
        trades.net_pnl,
        case when not trades.is_open then trades.net_pnl > 0 end as is_win,
        outcomes.result_r,
        outcomes.mae_r,
        outcomes.mfe_r,
        outcomes.time_to_mfe_s,
        outcomes.time_to_target_s,
        outcomes.holding_s,
        outcomes.realised_volatility,
        outcomes.slippage_points,
        outcomes.mark_count,
        trades.deal_count,
        labels.labelled_barrier,
        labels.labelled_result_r
    from trades
    left join signals
        on trades.tenant = signals.tenant and trades.account = signals.account and trades.signal_id = signals.signal_id
    left join candidates
        on trades.tenant = candidates.tenant and trades.account = candidates.account and trades.idea_id = candidates.idea_id
    left join outcomes
        on trades.tenant = outcomes.tenant and trades.account = outcomes.account and trades.trade_id = outcomes.trade_id
    left join labels
        on trades.tenant = labels.tenant and trades.account = labels.account and trades.idea_id = labels.idea_id
)

select * from joined
