-- Store bundles; a repeated request finds them there.
insert ignore into longshore_bundle (id, sort, name, created_at, entry)
values (%s, %s, %s, %s, %s);
