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

models as (
    select * from {{ ref('stg_meta_models') }}
),

promotions as (
    select * from {{ ref('stg_promotions') }}
),

decided as (
    select
        tenant,
        model_version,
        min(decided_at) as first_decided_at,
        max(decided_at) as last_decided_at,
        count(*) as decisions,
        count(*) filter (suggestion <> 'WAIT') as suggestions
    from signals
    group by all
),

scored as (
    select
        signals.tenant,
        signals.model_version,
        count(candidates.win_probability) as scored_candidates,
        count(*) filter (candidates.win_probability is not null and labels.is_labelled_win is not null) as judged_candidates,
        avg(candidates.win_probability) filter (labels.is_labelled_win is not null) as mean_win_probability,
        avg(cast(labels.is_labelled_win as integer)) filter (candidates.win_probability is not null) as judged_win_share,
        avg(power(candidates.win_probability - cast(labels.is_labelled_win as integer), 2)) as brier_score,
        avg(labels.labelled_result_r) as labelled_mean_r,
        avg(labels.labelled_result_r) filter (candidates.is_chosen) as chosen_mean_r
    from candidates
    inner join signals
        on candidates.tenant = signals.tenant and candidates.account = signals.account and candidates.signal_id = signals.signal_id
    left join labels
        on candidates.tenant = labels.tenant and candidates.account = labels.account and candidates.idea_id = labels.idea_id
    group by all
),

traded as (
    select
        tenant,
        model_version,
        count(*) as trades,
        count(*) filter (is_win) as wins,
        sum(net_pnl) as net_pnl,
        avg(cast(net_pnl as double)) filter (not is_open) as average_net_pnl,
        cast(coalesce(sum(net_pnl) filter (net_pnl > 0 and not is_open), 0) as double)
        / nullif(-cast(sum(net_pnl) filter (net_pnl < 0 and not is_open) as double), 0) as profit_factor,
        sum(result_r) as total_r,
        avg(result_r) as mean_r
    from trades
    where model_version is not null
    group by all
),

versions as (
    select tenant, model_version from decided
    union
    select tenant, model_version from models
),

joined as (
    select
        versions.tenant || '/' || versions.model_version as tenant_model_id,
        versions.tenant,
        versions.model_version,
        models.trained_at,
        models.dataset_version,
        models.row_count as training_rows,
        models.brier_score as evaluated_brier_score,
        models.brier_reference as evaluated_brier_reference,
        models.auc as evaluated_auc,
        models.calibration_error as evaluated_calibration_error,
        models.selected_expectancy_r as evaluated_selected_mean_r,
        promotions.verdict,
        promotions.release_id,
        promotions.blend,
        decided.first_decided_at,
        decided.last_decided_at,
        coalesce(decided.decisions, 0) as decisions,
        coalesce(decided.suggestions, 0) as suggestions,
        coalesce(scored.scored_candidates, 0) as scored_candidates,
        coalesce(scored.judged_candidates, 0) as judged_candidates,
        scored.mean_win_probability,
        scored.judged_win_share,
        scored.brier_score,
        scored.judged_win_share * (1 - scored.judged_win_share) as brier_reference,
        scored.labelled_mean_r,
        scored.chosen_mean_r,
        coalesce(traded.trades, 0) as trades,
        coalesce(traded.wins, 0) as wins,
        coalesce(traded.net_pnl, 0) as net_pnl,
        traded.average_net_pnl,
        traded.profit_factor,
        traded.total_r,
        traded.mean_r
    from versions
    -- Trained and judged once, whoever it decides for: the asset half's judgements have a tenant of their own.
    left join models on versions.model_version = models.model_version
    left join promotions on versions.model_version = promotions.model_version
    left join decided on versions.tenant = decided.tenant and versions.model_version = decided.model_version
    left join scored on versions.tenant = scored.tenant and versions.model_version = scored.model_version
    left join traded on versions.tenant = traded.tenant and versions.model_version = traded.model_version
)

select * from joined
