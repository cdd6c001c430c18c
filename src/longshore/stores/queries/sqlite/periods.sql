-- What the last start under each of these rates knew of it.
select j.limit_key, j.most, j.per
from json_each(:keys) as e cross join longshore_start as j
    on j.limit_key = e.value and j.part = (
        select max(part) from longshore_start where limit_key = e.value
    );
