-- Those of these bundles that have not finished, and do not until we end.
select j.id
from json_each(:ids) as e cross join longshore_bundle as j on j.id = e.value
where j.finished_at is null;
