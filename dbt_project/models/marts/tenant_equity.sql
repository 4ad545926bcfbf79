with days as (
    select * from {{ ref('stg_tenant_daily') }}
),

final as (
    select
        tenant || '/' || strftime(day, '%Y-%m-%d') as tenant_day_id,
        tenant,
        day,
        reporting_currency,
        accounts,
        unconverted_accounts,
        balance,
        unrealised_pnl,
        equity,
        net_deposits,
        high_water_mark,
        drawdown,
        drawdown_share,
        under_water_since_at,
        under_water_s,
        max_drawdown,
        max_drawdown_share,
        longest_under_water_s,
        open_trades
    from days
)

select * from final
