-- Conservation: for each account, the money of its deals that is profit or loss (core.trades.deal_kinds) is the sum of its profit-and-loss events, to the cent.
-- What became known in the last two hours may still be on its way from the one table to the other.
{{ config(meta={'dagster': {'ref': {'name': 'account_equity'}}}) }}
-- depends_on: {{ ref('account_equity') }}
with deals as (
    select tenant, account, deal_ticket, sum(amount) as moved
    from {{ ref('stg_deals') }}
    where kind not in ('BALANCE', 'BONUS', 'CREDIT') and known_at < now() - interval 2 hour
    group by all
),

events as (
    select tenant, account, deal_ticket, sum(amount) as counted, max(known_at) as known_at
    from {{ ref('stg_pnl_events') }}
    group by all
)

select
    tenant,
    account,
    deal_ticket,
    coalesce(deals.moved, 0) as moved,
    coalesce(events.counted, 0) as counted
from deals
full outer join events using (tenant, account, deal_ticket)
where coalesce(deals.moved, 0) <> coalesce(events.counted, 0)
    and coalesce(events.known_at, timestamptz '1970-01-01 00:00:00+00') < now() - interval 2 hour
