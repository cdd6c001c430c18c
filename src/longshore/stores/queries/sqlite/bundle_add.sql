-- Store bundles; a repeated request finds them there.
insert into longshore_bundle (id, sort, name, created_at, entry) values (?1, ?2, ?3, ?4, ?5)
on conflict do nothing;
