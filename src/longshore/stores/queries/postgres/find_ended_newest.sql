-- Ids of jobs that fit, the newest created first, read along the ids.
select id::text from longshore_ended as j
where j.id < %(cursor)s::uuid
  and (%(states)s::text[] is null or state = any(%(states)s::text[]))
  and (%(queues)s::text[] is null or queue = any(%(queues)s::text[]))
  and (%(kinds)s::text[] is null or kind = any(%(kinds)s::text[]))
order by j.id desc
limit %(limit)s;
