-- Put the first jobs that a key has blocked in one queue back into the line.
update longshore_job
set blocked_by = null, place = priority,
    line = if(fair_key is null, queue, convert(concat(
        '+', left(sha2(queue, 256), 32), left(sha2(fair_key, 256), 31)
    ) using ascii))
where line = %s
order by line, place, scheduled_at, id
limit %s;
