-- Remove numbers that have been added up.
delete from longshore_count where position in %(positions)s;
