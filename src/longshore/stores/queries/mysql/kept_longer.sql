-- Keep these ended jobs for longer.
update longshore_ended set kept_until = %(until)s where id in %(ids)s;
