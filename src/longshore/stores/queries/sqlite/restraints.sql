-- What restrains a claim now: queues and kinds that are held back, the next key that opens, and
-- queues in which values take turns (one seek each).
with recursive fair (name) as (
    select (
        select queue from longshore_job indexed by longshore_job_fair
        where state = 'available' and parked is null and blocked_by is null
          and fair_key is not null
        order by queue limit 1
    )
    union all
    select (
        select queue from longshore_job indexed by longshore_job_fair
        where state = 'available' and parked is null and blocked_by is null
          and fair_key is not null and queue > fair.name
        order by queue limit 1
    )
    from fair where fair.name is not null
)
select 'queue', name, null from longshore_queue where paused_until is null or paused_until > :now
union all
select 'kind', kind, paused_until from longshore_kind
where paused_until is null or paused_until > :now
union all
select 'opens', limit_key, opens_at from (
    select limit_key, opens_at from longshore_opening order by opens_at limit 1
)
union all
select 'fair', name, null from fair where name is not null;
