-- Conservation: the closing balance of every day is everything that deals moved by then, credit apart.
-- A day that ended less than two hours ago may still be on its way from the one table to the other.
{{ config(meta={'dagster': {'ref': {'name': 'account_equity'}}}) }}
-- depends_on: {{ ref('account_equity') }}
with deals as (
    select tenant, account, dealt_at, amount
    from {{ ref('stg_deals') }}
    where kind <> 'CREDIT'
),

days as (
    select
        tenant,
        account,
        day,
        closing_balance,
        to_timestamp((cast(day - date '1970-01-01' as bigint) + 1) * 86400) as ends_at
    from {{ ref('stg_equity_daily') }}
)

select
    days.tenant,
    days.account,
    days.day,
    days.closing_balance,
    coalesce(sum(deals.amount), 0) as moved
from days
left join deals
    on days.tenant = deals.tenant and days.account = deals.account and deals.dealt_at < days.ends_at
where days.ends_at < now() - interval 2 hour
group by all
having days.closing_balance <> coalesce(sum(deals.amount), 0)
