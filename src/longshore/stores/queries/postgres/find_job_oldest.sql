-- Ids of jobs that fit, the oldest created first, read along the ids.
select id::text from longshore_job as j
where j.id > %(cursor)s::uuid
  and (%(states)s::text[] is null or state = any(%(states)s::text[]))
  and (%(queues)s::text[] is null or queue = any(%(queues)s::text[]))
  and (%(kinds)s::text[] is null or kind = any(%(kinds)s::text[]))
order by j.id
limit %(limit)s;
