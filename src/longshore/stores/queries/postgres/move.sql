-- Put jobs into another queue.
update longshore_job set queue = %(queue)s where id = any(%(ids)s::uuid[]);
