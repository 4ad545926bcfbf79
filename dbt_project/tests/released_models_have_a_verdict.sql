-- A model that scored candidates was judged before it was released: where a judgement is on record, the mart says it.
{{ config(meta={'dagster': {'ref': {'name': 'model_performance'}}}) }}
with judged as (
    select distinct model_version
    from {{ source('lake', 'promotions') }}
    where action <> 'hold'
)

select
    models.tenant,
    models.model_version
from {{ ref('model_performance') }} as models
inner join judged on models.model_version = judged.model_version
where models.scored_candidates > 0 and (models.verdict is null or models.blend is null)
