-- These bundles, and how many live members each has.
select j.succeeded, j.cancelled, j.dead, j.told, j.finished_at, j.entry,
       (select count(*) from longshore_member as m where m.bundle_id = j.id and m.live = 1)
from json_each(:ids) as e cross join longshore_bundle as j on j.id = e.value;
