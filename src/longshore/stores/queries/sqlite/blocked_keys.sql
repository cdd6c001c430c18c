-- Keys between two that have blocked jobs, in order: one seek each.
with recursive found (key) as (
    select (
        select blocked_by from longshore_job indexed by longshore_job_blocked
        where blocked_by is not null and blocked_by > :after and blocked_by < :before
        order by blocked_by limit 1
    )
    union all
    select (
        select blocked_by from longshore_job indexed by longshore_job_blocked
        where blocked_by is not null and blocked_by > found.key and blocked_by < :before
        order by blocked_by limit 1
    )
    from found where found.key is not null
)
select key from found where key is not null limit :limit;
