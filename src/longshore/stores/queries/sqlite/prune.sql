-- Delete ended jobs.
delete from longshore_ended where rowid in (select value from json_each(:rowids));
