-- A tenant's equity is the sum of its accounts' in the reporting currency; null as soon as one of them has no rate.
{{ config(meta={'dagster': {'ref': {'name': 'tenant_equity'}}}) }}
-- depends_on: {{ ref('tenant_equity') }}
with accounts as (
    select
        tenant,
        day,
        case when count(*) = count(converted_equity) then sum(converted_equity) end as equity
    from {{ ref('stg_equity_daily') }}
    group by all
)

select
    accounts.tenant,
    accounts.day,
    accounts.equity as by_accounts,
    tenants.equity
from accounts
full outer join {{ ref('stg_tenant_daily') }} as tenants
    on accounts.tenant = tenants.tenant and accounts.day = tenants.day
where accounts.tenant is null or tenants.tenant is null
    or (accounts.equity is null) <> (tenants.equity is null) or abs(accounts.equity - tenants.equity) >= 0.01
