-- Conservation: for each account, the money that trade deals moved is the sum of its profit-and-loss events, to the cent.
with deals as (
    select tenant, account, sum(amount) as moved
    from {{ ref('stg_deals') }}
    where kind in ('BUY', 'SELL')
    group by all
),

events as (
    select tenant, account, sum(amount) as counted
    from {{ ref('stg_pnl_events') }}
    group by all
)

select
    tenant,
    account,
    coalesce(deals.moved, 0) as moved,
    coalesce(events.counted, 0) as counted
from deals
full outer join events using (tenant, account)
where coalesce(deals.moved, 0) <> coalesce(events.counted, 0)
