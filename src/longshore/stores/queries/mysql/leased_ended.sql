-- The last run of these jobs, if they have ended.
select id, claimed_by, run from longshore_ended where id in %(ids)s;
