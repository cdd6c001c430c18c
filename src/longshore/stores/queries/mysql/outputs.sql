-- How these jobs ended, as far as they have, and what they returned.
select id, state, result, result_error from longshore_ended where id in %(ids)s;
