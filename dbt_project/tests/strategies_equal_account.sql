-- Conservation: what the strategies and models earned is the balance less what was paid in, at the end of every day.
{{ config(meta={'dagster': {'ref': {'name': 'strategy_equity'}}}) }}
-- depends_on: {{ ref('strategy_equity') }}
with earned as (
    select tenant, account, day, sum(balance) as earned, sum(equity) as worth
    from {{ ref('stg_strategy_daily') }}
    group by all
)

select
    equity.tenant,
    equity.account,
    equity.day,
    coalesce(earned.earned, 0) as earned,
    equity.closing_balance - equity.net_deposits as expected
from {{ ref('stg_equity_daily') }} as equity
left join earned
    on equity.tenant = earned.tenant and equity.account = earned.account and equity.day = earned.day
where coalesce(earned.earned, 0) <> equity.closing_balance - equity.net_deposits
    or coalesce(earned.worth, 0) <> equity.closing_equity - equity.net_deposits
