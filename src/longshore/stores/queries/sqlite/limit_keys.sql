-- Keys of limits that are in use, in order: one seek each.
with recursive slot (key) as (
    select (select limit_key from longshore_slot where limit_key > :after order by limit_key limit 1)
    union all
    select (
        select limit_key from longshore_slot where limit_key > slot.key order by limit_key limit 1
    )
    from slot where slot.key is not null limit :limit + 1
),
start (key) as (
    select (select limit_key from longshore_start where limit_key > :after order by limit_key limit 1)
    union all
    select (
        select limit_key from longshore_start where limit_key > start.key order by limit_key limit 1
    )
    from start where start.key is not null limit :limit + 1
),
blocked (key) as (
    select (
        select blocked_by from longshore_job indexed by longshore_job_blocked
        where blocked_by is not null and blocked_by > :after
          and (blocked_by < 'k:' or blocked_by >= 'k;')
        order by blocked_by limit 1
    )
    union all
    select (
        select blocked_by from longshore_job indexed by longshore_job_blocked
        where blocked_by is not null and blocked_by > blocked.key
          and (blocked_by < 'k:' or blocked_by >= 'k;')
        order by blocked_by limit 1
    )
    from blocked where blocked.key is not null limit :limit + 1
)
select key from slot where key is not null
union
select key from start where key is not null
union
select key from blocked where key is not null
order by key limit :limit;
