-- How these jobs ended, as far as they have, and what they returned.
select j.id::text, j.state, j.result, j.result_error
from unnest(%(ids)s::uuid[]) as e (id) join longshore_ended_rest as j on j.id = e.id;
