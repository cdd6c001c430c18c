-- Store bundles, finished at once where they are empty; a repeated request finds them there.
insert ignore into longshore_bundle (id, sort, name, created_at, entry, told, finished_at, kept_until)
values (%s, %s, %s, %s, %s, %s, %s, %s);
