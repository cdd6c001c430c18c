-- Put jobs into another queue.
update longshore_job
set line = if(line = queue, %(queue)s, line), queue = %(queue)s
where id in %(ids)s;
