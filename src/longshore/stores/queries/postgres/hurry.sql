-- Make timed jobs available now.
update longshore_job set state = 'available', scheduled_at = %(now)s
where id = any(%(ids)s::uuid[]);
