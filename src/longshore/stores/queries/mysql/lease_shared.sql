-- Whether this run holds its lease, which it keeps until we end.
select 1 from longshore_job
where id = %(id)s and state = 'running' and run = %(run)s
  and substr(line, 2) = %(process_id)s
lock in share mode;
