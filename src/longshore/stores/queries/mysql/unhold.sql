-- Let these jobs hold no unique key any more.
delete from longshore_hold where job_id in %(ids)s;
