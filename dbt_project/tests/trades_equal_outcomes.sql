-- A closed trade's profit, counted from its deals, is what its outcome says.
{{ config(meta={'dagster': {'ref': {'name': 'fct_outcomes'}}}) }}
-- depends_on: {{ ref('fct_outcomes') }}
select
    trades.trade_id,
    trades.net_pnl as by_deals,
    outcomes.net_pnl as by_outcome
from {{ ref('stg_trades') }} as trades
inner join {{ ref('stg_outcomes') }} as outcomes
    on trades.tenant = outcomes.tenant and trades.account = outcomes.account and trades.trade_id = outcomes.trade_id
where not trades.is_open and trades.net_pnl <> outcomes.net_pnl
