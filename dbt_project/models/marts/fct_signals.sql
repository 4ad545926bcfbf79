with signals as (
    select * from {{ ref('stg_signals') }}
),

candidates as (
    select * from {{ ref('stg_candidates') }}
),

labels as (
    select * from {{ ref('stg_labels') }}
),

trades as (
    select * from {{ ref('fct_trades') }}
),

cohorts as (
    select
        candidates.tenant,
        candidates.account,
        candidates.signal_id,
        count(*) as candidate_count,
        count(labels.idea_id) as labelled_count,
        max(labels.labelled_result_r) as best_labelled_result_r,
        max_by(candidates.kind, labels.labelled_result_r) as best_labelled_kind
    from candidates
    left join labels
        on candidates.tenant = labels.tenant and candidates.account = labels.account and candidates.idea_id = labels.idea_id
    group by candidates.tenant, candidates.account, candidates.signal_id
),

joined as (
    select
        signals.signal_id,
        signals.tenant,
        signals.account,
        signals.signal_date,
        signals.chain_id,
        signals.symbol,
        signals.timeframe,
        signals.bar_close_at,
        signals.decided_at,
        signals.mode,
        signals.strategy_version,
        signals.feature_set_version,
        signals.release_id,
        signals.model_version,
        signals.spread,
        signals.regime,
        signals.regime_confidence,
        signals.consensus,
        signals.dispersion,
        signals.blend,
        signals.suggestion,
        signals.action,
        signals.idea_id,
        chosen.exit_profile,
        signals.confidence,
        signals.quality_score,
        chosen.rule_score,
        coalesce(chosen.win_probability, signals.win_probability) as win_probability,
        chosen.blended_score,
        signals.volume_lots,
        signals.risk_amount,
        coalesce(cohorts.candidate_count, 0) as candidate_count,
        array_to_string(signals.blocking_filters, ', ') as blocking_filters,
        array_to_string(signals.tripped_breakers, ', ') as tripped_breakers,
        array_to_string(signals.reasons, '; ') as reasons,
        trades.trade_id,
        trades.trade_id is not null as is_traded,
        trades.net_pnl,
        trades.result_r,
        labels.labelled_result_r,
        coalesce(cohorts.labelled_count, 0) as labelled_count,
        cohorts.best_labelled_kind,
        cohorts.best_labelled_result_r
    from signals
    left join candidates as chosen
        on signals.tenant = chosen.tenant and signals.account = chosen.account and signals.idea_id = chosen.idea_id
    left join labels
        on signals.tenant = labels.tenant and signals.account = labels.account and signals.idea_id = labels.idea_id
    left join cohorts
        on signals.tenant = cohorts.tenant and signals.account = cohorts.account and signals.signal_id = cohorts.signal_id
    left join trades
        on signals.tenant = trades.tenant and signals.account = trades.account and signals.signal_id = trades.signal_id
)

select * from joined
