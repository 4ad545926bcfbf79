-- Conservation: symbols, strategies and models of an account each add up to the account, day by day, to the cent.
{{ config(meta={'dagster': {'ref': {'name': 'performance_by_scope'}}}) }}
-- depends_on: {{ ref('performance_by_scope') }}
with scopes as (
    select tenant, account, day, scope, sum(net_pnl) as net_pnl, sum(trades_closed) as trades_closed
    from {{ ref('stg_performance_daily') }}
    group by all
),

account as (
    select * from scopes
    where scope = 'account'
)

select
    scopes.tenant,
    scopes.account,
    scopes.day,
    scopes.scope,
    scopes.net_pnl,
    account.net_pnl as of_account
from scopes
full outer join account
    on scopes.tenant = account.tenant and scopes.account = account.account and scopes.day = account.day
where scopes.net_pnl is distinct from account.net_pnl or scopes.trades_closed is distinct from account.trades_closed
