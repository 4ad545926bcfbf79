with source as (
    select * from {{ source('lake', 'tenant_daily') }}
),

renamed as (
    select
        tenant,
        date as day,
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
    from source
)

select * from renamed
