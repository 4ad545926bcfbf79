with source as (
    select * from {{ source('lake', 'labels') }}
),

renamed as (
    select
        idea_id,
        tenant,
        account,
        signal_id,
        kind,
        label_end_at,
        barrier as labelled_barrier,
        result_r as labelled_result_r,
        is_win as is_labelled_win
    from source
)

select * from renamed
