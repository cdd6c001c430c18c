-- Keep these jobs for a while after their end, unless they are kept for longer.
update longshore_job set keep_result = %(keep)s
where id in %(ids)s and keep_result < %(keep)s;
