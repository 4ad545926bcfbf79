with days as (
    select * from {{ ref('stg_equity_daily') }}
),

final as (
    select
        tenant || '/' || account || '/' || strftime(day, '%Y-%m-%d') as account_day_id,
        tenant,
        account,
        day,
        opening_balance,
        closing_balance,
        unrealised_pnl,
        closing_equity,
        deposits,
        credit,
        net_deposits,
        gross_pnl,
        commission,
        swap,
        fee,
        net_pnl,
        return_share,
        high_water_mark,
        drawdown,
        drawdown_share,
        under_water_since_at,
        under_water_s,
        max_drawdown,
        max_drawdown_share,
        longest_under_water_s,
        trades_opened,
        trades_closed,
        open_trades,
        trades,
        average_net_pnl,
        trade_pnl_volatility,
        pnl_volatility,
        currency,
        reporting_currency,
        rate,
        rate_at,
        rate_symbol,
        converted_balance,
        converted_equity,
        converted_net_pnl
    from days
)

select * from final
