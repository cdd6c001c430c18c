-- Bundles as they stand, which nobody else changes until we end.
select id, succeeded, cancelled, dead, told, finished_at, entry
from longshore_bundle
where id in %(ids)s
order by id
for update;
