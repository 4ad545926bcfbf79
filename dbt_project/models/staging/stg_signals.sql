with source as (
    select * from {{ source('lake', 'signals') }}
),

renamed as (
    select
        signal_id,
        tenant,
        account,
        date as signal_date,
        chain_id,
        known_at,
        decided_at,
        mode,
        symbol,
        timeframe,
        bar_close_at,
        strategy_version,
        feature_set_version,
        release_id,
        coalesce(model_version, 'rules-only') as model_version,
        ask - bid as spread,
        regime,
        regime_confidence,
        consensus,
        dispersion,
        blend,
        suggestion,
        action,
        idea_id,
        entry_price,
        volume_lots,
        risk_amount,
        confidence,
        quality_score,
        win_probability,
        blocking_filters,
        tripped_breakers,
        reasons
    from source
)

select * from renamed
