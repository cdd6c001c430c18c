-- A partition for a day, still apart. Rows in it are never changed, so that it can be full.
create table longshore_ended_d{day} (like longshore_ended including defaults);
