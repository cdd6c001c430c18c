-- Keep these ended jobs for longer.
update longshore_ended_rest set kept_until = %(until)s where id = any(%(ids)s::uuid[]);
