-- How many jobs of each queue and kind are blocked.
select queue, kind, 'available', count(*) from longshore_job
where line > '!' and line < '"'
  and (coalesce%(queues)s is null or queue in %(queues)s)
  and (coalesce%(kinds)s is null or kind in %(kinds)s)
group by queue, kind;
