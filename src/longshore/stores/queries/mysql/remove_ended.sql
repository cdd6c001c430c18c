-- Take these jobs out of those that have ended.
delete from longshore_ended where id in %(ids)s;
