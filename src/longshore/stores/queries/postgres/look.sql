-- What a claim has to know before it begins: the time, whether the process has a lease, which
-- nobody takes away before the commit, whether this claim was carried out already, when the next
-- timed job falls due, whether jobs have expired, which queues are held back, and which hold jobs;
-- when jobs that wait for a rate or a kind can go on, which kinds are held back, in which queues
-- there are jobs with limits and jobs that take turns, and what was set for which limits.
with recursive t as materialized (
    select coalesce(
        %(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint
    ) as now
), process as materialized (
    select 1 from longshore_process
    where id = %(process_id)s
      and expires_at > coalesce(
          %(now)s::bigint, (extract(epoch from clock_timestamp()) * 1000000)::bigint
      )
    for key share
), found (name) as (
    (
        select queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and %(any)s
        order by queue limit 1
    )
    union all
    select (
        select queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and queue > found.name
        order by queue limit 1
    )
    from found where found.name is not null
), limited (name) as (
    (
        select queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null
          and strpos(rules, '"limits":') > 0
        order by queue limit 1
    )
    union all
    select (
        select queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null
          and strpos(rules, '"limits":') > 0 and queue > limited.name
        order by queue limit 1
    )
    from limited where limited.name is not null
), fair (name) as (
    (
        select queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null
          and fair_key is not null
        order by queue limit 1
    )
    union all
    select (
        select queue from longshore_job
        where state = 'available' and parked is null and blocked_by is null
          and fair_key is not null and queue > fair.name
        order by queue limit 1
    )
    from fair where fair.name is not null
)
select
    t.now,
    (select count(*) from process) = 1,
    exists (
        select from longshore_job
        where state = 'running' and claimed_by = %(process_id)s and claim_id = %(claim_id)s
    ),
    (
        select scheduled_at from longshore_job
        where state in ('scheduled', 'retrying')
        order by scheduled_at limit 1
    ),
    exists (
        select from longshore_job
        where expires_at is not null and attempted_at is null
          and expires_at <= (select now from t)
    ),
    array(
        select name from longshore_queue where paused_until is null or paused_until > t.now
    ),
    array(select name from found where name is not null),
    (
        select o.opens_at from longshore_opening as o
        where (
            select j.blocked_by from longshore_job as j
            where j.blocked_by = o.limit_key limit 1
        ) is not null
        order by o.opens_at limit 1
    ),
    array(
        select kind from longshore_kind where paused_until is null or paused_until > t.now
        order by kind
    ),
    array(
        select paused_until from longshore_kind where paused_until is null or paused_until > t.now
        order by kind
    ),
    array(select name from limited where name is not null),
    array(select name from fair where name is not null),
    array(select name from longshore_limit order by name),
    array(select most from longshore_limit order by name),
    array(select per from longshore_limit order by name)
from t;
