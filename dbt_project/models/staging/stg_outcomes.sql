with source as (
    select * from {{ source('lake', 'outcomes') }}
),

renamed as (
    select
        trade_id,
        tenant,
        account,
        signal_id,
        closed_at,
        exit_reason,
        net_pnl,
        result_r,
        mae_r,
        mfe_r,
        time_to_mfe_s,
        time_to_target_s,
        holding_s,
        realised_volatility,
        slippage_points,
        mark_count
    from source
)

select * from renamed
