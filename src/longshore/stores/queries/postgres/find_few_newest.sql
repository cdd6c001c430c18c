-- Ids of ended jobs that fit, the newest created first, where few do: by the index that helps most.
with picked as (
    select id, state, queue, kind from longshore_ended
    where %(by)s::text = 'state' and state <> 'succeeded' and state = any(%(states)s::text[])
    union all
    select id, state, queue, kind from longshore_ended
    where %(by)s::text = 'queue' and queue = any(%(queues)s::text[]) and kind = any(array(
        select distinct kind from longshore_count where queue = any(%(queues)s::text[])
    ))
    union all
    select id, state, queue, kind from longshore_ended
    where %(by)s::text = 'kind' and kind = any(%(kinds)s::text[])
)
select id::text from picked as j
where j.id < %(cursor)s::uuid
  and (%(states)s::text[] is null or state = any(%(states)s::text[]))
  and (%(queues)s::text[] is null or queue = any(%(queues)s::text[]))
  and (%(kinds)s::text[] is null or kind = any(%(kinds)s::text[]))
order by j.id desc
limit %(limit)s;
