-- Jobs that could not go are given up.
delete from longshore_outbox where parked is not null and position in (select value from json_each(:positions));
