-- Delete ended jobs.
delete from longshore_ended where id in %(rowids)s;
