-- How many ended jobs there are of each queue, kind and state.
select queue, kind, state, cast(sum(jobs) as signed) from longshore_count
where true
  and (coalesce%(queues)s is null or queue in %(queues)s)
  and (coalesce%(kinds)s is null or kind in %(kinds)s)
group by queue, kind, state
having sum(jobs) <> 0;
