-- Bundles as they stand, which nobody else changes until we end.
select j.id, j.succeeded, j.cancelled, j.dead, j.told, j.finished_at, j.entry
from json_each(:ids) as e cross join longshore_bundle as j on j.id = e.value;
