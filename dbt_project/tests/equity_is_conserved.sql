-- Conservation: opening balance, deposits and net profit of a day are its closing balance, and balance and unrealised its equity.
{{ config(meta={'dagster': {'ref': {'name': 'account_equity'}}}) }}
-- depends_on: {{ ref('account_equity') }}
select
    tenant,
    account,
    day,
    opening_balance + deposits + net_pnl as expected,
    closing_balance
from {{ ref('stg_equity_daily') }}
where opening_balance + deposits + net_pnl <> closing_balance or closing_balance + unrealised_pnl <> closing_equity
