-- Those of these jobs that have not ended.
select j.id from json_each(:ids) as e cross join longshore_job as j on j.id = e.value;
