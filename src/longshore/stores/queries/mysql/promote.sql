-- Make timed jobs available; they keep the time at which they were due.
update longshore_job
set state = 'available', place = priority,
    line = if(fair_key is null, queue, convert(concat(
        '+', left(sha2(queue, 256), 32), left(sha2(fair_key, 256), 31)
    ) using ascii))
where id in %(ids)s;
