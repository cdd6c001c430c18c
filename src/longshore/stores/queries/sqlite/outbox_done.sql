-- Jobs have arrived.
delete from longshore_outbox where position in (select value from json_each(:positions));
