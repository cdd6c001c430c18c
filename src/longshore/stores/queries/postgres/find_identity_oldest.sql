-- Ids of jobs with these identities that fit, the oldest created first.
with picked as (
    select id, state, queue, kind from longshore_job
    where identity = any(%(identities)s::text[]) and id > %(cursor)s::uuid
    union all
    select id, state, queue, kind from longshore_ended
    where identity = any(%(identities)s::text[]) and id > %(cursor)s::uuid
)
select id::text from picked as j
where (%(states)s::text[] is null or state = any(%(states)s::text[]))
  and (%(queues)s::text[] is null or queue = any(%(queues)s::text[]))
  and (%(kinds)s::text[] is null or kind = any(%(kinds)s::text[]))
order by j.id
limit %(limit)s;
