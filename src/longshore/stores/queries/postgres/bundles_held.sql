-- Bundles as they stand, which nobody else changes until we end.
select id::text, succeeded, cancelled, dead, told, finished_at, entry
from longshore_bundle
where id = any(%(ids)s::uuid[])
order by id
for update;
