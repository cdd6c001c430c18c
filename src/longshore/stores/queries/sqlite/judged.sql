-- Processes that seem dead: whether one has a lease all the same, and when it ends or ended.
select p.id, p.boot_id = :boot_id and p.expires_at > :boot_now,
       iif(p.boot_id = :boot_id, p.expires_at, 0)
from json_each(:ids) as e cross join longshore_process as p on p.id = e.value;
