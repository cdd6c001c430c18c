-- How many jobs of each queue and kind wait for others.
select queue, kind, 'waiting', count(*) from longshore_job
where line = '#waiting'
  and (coalesce%(queues)s is null or queue in %(queues)s)
  and (coalesce%(kinds)s is null or kind in %(kinds)s)
group by queue, kind;
