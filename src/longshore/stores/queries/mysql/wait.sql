-- Let jobs wait for others again.
update longshore_job set state = 'waiting', line = '#waiting', place = 0 where id in %(ids)s;
