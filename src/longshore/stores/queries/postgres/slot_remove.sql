-- Give the slots of runs that have ended back.
delete from longshore_slot as s
using unnest(%(c0)s::text[], %(c1)s::uuid[]) as e (key, id)
where s.limit_key = e.key and s.job_id = e.id;
