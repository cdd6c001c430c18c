-- What a claim has to know before it begins: the time, whether the process has a lease, which
-- nobody takes away before the commit, whether this claim was carried out already, when the next
-- timed job falls due, whether jobs have expired, which queues are held back, and which hold jobs.
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
    for share
), found (name) as (
    (
        select queue from longshore_job
        where state = 'available' and parked is null and %(any)s
        order by queue limit 1
    )
    union all
    select (
        select queue from longshore_job
        where state = 'available' and parked is null and queue > found.name
        order by queue limit 1
    )
    from found where found.name is not null
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
    array(select name from found where name is not null)
from t;
