-- Ids of jobs that fit, the newest created first, read along the ids.
select id from longshore_ended
where id < %(cursor)s
  and (coalesce%(states)s is null or state in %(states)s)
  and (coalesce%(queues)s is null or queue in %(queues)s)
  and (coalesce%(kinds)s is null or kind in %(kinds)s)
order by id desc
limit %(limit)s;
