-- A day has a profit factor in both marts or in neither: it is null without a loss, and 0 without a win. Days on which the account
-- also closed trades of somebody else are left out: one mart counts those.
{{ config(meta={'dagster': {'ref': {'name': 'daily_performance'}}}) }}
select
    days.tenant,
    days.account,
    days.day,
    days.profit_factor,
    scopes.profit_factor as of_scope
from {{ ref('daily_performance') }} as days
inner join {{ ref('performance_by_scope') }} as scopes
    on days.tenant = scopes.tenant and days.account = scopes.account and days.day = scopes.day
where scopes.scope = 'account' and days.trades_closed = scopes.trades_closed and days.wins = scopes.wins
    and ((days.profit_factor is null) <> (scopes.profit_factor is null)
        or (days.profit_factor = 0) <> (scopes.profit_factor = 0))
