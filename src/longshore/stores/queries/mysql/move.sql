-- Put jobs into another queue; there, none of them is blocked.
update longshore_job
set line = if(state = 'available' and line <> '#parked', if(fair_key is null, %(queue)s, convert(concat(
    '+', left(sha2(%(queue)s, 256), 32), left(sha2(fair_key, 256), 31)
) using ascii)), line), queue = %(queue)s, blocked_by = null
where id in %(ids)s;
