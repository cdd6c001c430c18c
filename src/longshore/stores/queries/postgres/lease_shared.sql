-- Whether this run holds its lease, which it keeps until we end.
select 1 from longshore_job
where id = %(id)s and state = 'running' and claimed_by = %(process_id)s and run = %(run)s
for share;
