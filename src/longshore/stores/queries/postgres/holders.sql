-- Who holds these unique keys, and until when: one that was never started, until it expires.
select unique_key, id::text, state,
    least(held_until, case when attempted_at is null then expires_at end)
from longshore_job
where unique_key = any(%(keys)s::text[])
order by id
for update;
