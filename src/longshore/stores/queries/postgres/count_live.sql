-- How many jobs of each queue, kind and state wait or run.
select queue, kind, state, count(*) from longshore_job
where (%(queues)s::text[] is null or queue = any(%(queues)s::text[]))
  and (%(kinds)s::text[] is null or kind = any(%(kinds)s::text[]))
group by queue, kind, state;
