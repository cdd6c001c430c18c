-- How these jobs ended, as far as they have, and what they returned.
select j.id, j.state, j.result, j.result_error
from json_each(:ids) as e cross join longshore_ended as j on j.id = e.value;
