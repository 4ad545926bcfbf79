-- A day opens with the balance the day before it closed with, and no day between is missing.
{{ config(meta={'dagster': {'ref': {'name': 'account_equity'}}}) }}
-- depends_on: {{ ref('account_equity') }}
with days as (
    select
        *,
        lag(closing_balance) over (partition by tenant, account order by day) as closed_before,
        lag(day) over (partition by tenant, account order by day) as day_before
    from {{ ref('stg_equity_daily') }}
)

select
    tenant,
    account,
    day,
    opening_balance,
    closed_before
from days
where opening_balance <> closed_before or day <> day_before + 1
