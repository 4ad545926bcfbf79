with source as (
    select * from {{ source('lake', 'equity_daily') }}
),

renamed as (
    select
        tenant,
        account,
        date as day,
        opening_balance,
        closing_balance,
        closing_equity,
        deposits,
        net_pnl,
        return_share,
        max_drawdown_share
    from source
)

select * from renamed
