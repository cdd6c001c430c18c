-- Remove a day with all its jobs.
drop table longshore_ended_d{day};
