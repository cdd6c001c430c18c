-- Keys that jobs run under, have started under or wait for, one seek a key.
with recursive slot (key) as (
    (
        select limit_key from longshore_slot where limit_key > %(after)s
        order by limit_key limit 1
    )
    union all
    select (
        select limit_key from longshore_slot where limit_key > slot.key order by limit_key limit 1
    )
    from slot where slot.key is not null
), held (key) as (
    (
        select slot_key from longshore_job
        where state = 'running' and slot_key > %(after)s
        order by slot_key limit 1
    )
    union all
    select (
        select slot_key from longshore_job
        where state = 'running' and slot_key > held.key
        order by slot_key limit 1
    )
    from held where held.key is not null
), start (key) as (
    (
        select limit_key from longshore_start where limit_key > %(after)s
        order by limit_key limit 1
    )
    union all
    select (
        select limit_key from longshore_start where limit_key > start.key order by limit_key limit 1
    )
    from start where start.key is not null
), blocked (key) as (
    (
        select blocked_by from longshore_job where blocked_by > %(after)s
        order by blocked_by limit 1
    )
    union all
    select (
        select blocked_by from longshore_job where blocked_by > blocked.key
        order by blocked_by limit 1
    )
    from blocked where blocked.key is not null
)
select key from (
    (select key from slot where key is not null limit %(limit)s)
    union
    (select key from held where key is not null limit %(limit)s)
    union
    (select key from start where key is not null limit %(limit)s)
    union
    (
        select key from blocked where key is not null and not starts_with(key, 'k:')
        limit %(limit)s
    )
) as found
order by key
limit %(limit)s;
