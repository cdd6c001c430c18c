-- How many jobs of each queue and kind wait for their time.
select queue, kind, state, count(*) from longshore_job
where line = '#due'
  and (coalesce%(queues)s is null or queue in %(queues)s)
  and (coalesce%(kinds)s is null or kind in %(kinds)s)
group by queue, kind, state;
