-- Put jobs into another queue, where they stand in the line.
update longshore_job set queue = %(queue)s, blocked_by = null where id = any(%(ids)s::uuid[]);
