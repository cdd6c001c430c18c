-- How many jobs of each queue and kind are ready to run; the index alone is read, but for jobs that
-- take turns.
select line, kind, 'available', count(*) from longshore_job
where line >= '0' and line < '{'
  and (coalesce%(queues)s is null or line in %(queues)s)
  and (coalesce%(kinds)s is null or kind in %(kinds)s)
group by line, kind
union all
select queue, kind, 'available', count(*) from longshore_job
where line > '+' and line < ','
  and (coalesce%(queues)s is null or queue in %(queues)s)
  and (coalesce%(kinds)s is null or kind in %(kinds)s)
group by queue, kind;
