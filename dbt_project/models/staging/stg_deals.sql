-- A deal that was read again after a reconnect is the same deal: the first answer counts.
with source as (
    select * from {{ source('lake', 'raw_deals') }}
),

renamed as (
    select
        deal_ticket,
        tenant,
        account,
        position_id,
        trade_id,
        signal_id,
        symbol,
        kind,
        event_at as dealt_at,
        profit,
        commission,
        swap,
        fee,
        profit + commission + swap + fee as amount
    from source
    qualify row_number() over (partition by tenant, account, deal_ticket order by known_at, journal_index) = 1
)

select * from renamed
