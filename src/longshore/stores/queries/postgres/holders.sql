-- Who holds these unique keys.
select unique_key, id::text, state, held_until from longshore_job
where unique_key = any(%(keys)s::text[])
order by id
for update;
