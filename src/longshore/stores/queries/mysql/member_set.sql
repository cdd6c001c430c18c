-- These jobs have ended, or live again, in all they belong to.
update longshore_member set live = %(live)s where job_id in %(ids)s;
