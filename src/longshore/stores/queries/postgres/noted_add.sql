-- Note that a job leaves steps or log lines, and which job of its id it is.
insert into longshore_noted (job_id, born)
select * from unnest(%(c0)s::uuid[], %(c1)s::bigint[]);
