-- Note by what jobs are identified.
insert ignore into longshore_identity (identity, id) values (%s, %s);
