-- How many ended jobs there are of each queue, kind and state.
select queue, kind, state, sum(jobs)::bigint from longshore_count
where (%(queues)s::text[] is null or queue = any(%(queues)s::text[]))
  and (%(kinds)s::text[] is null or kind = any(%(kinds)s::text[]))
group by queue, kind, state
having sum(jobs) <> 0;
