-- Those of these processes that have a lease, or had one and nobody has taken a job of theirs.
select p.id
from json_each(:ids) as e cross join longshore_process as p on p.id = e.value
where p.boot_id = :boot_id and p.expires_at <> 0;
