-- Make timed jobs available; they keep the time at which they were due.
update longshore_job set state = 'available' where id = any(%(ids)s::uuid[]);
