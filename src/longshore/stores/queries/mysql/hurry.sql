-- Make timed jobs available now.
update longshore_job 
set state = 'available', scheduled_at = %(now)s, line = queue, place = priority
where id in %(ids)s;
