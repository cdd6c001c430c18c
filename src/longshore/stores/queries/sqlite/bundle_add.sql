-- Store bundles, finished at once where they are empty; a repeated request finds them there.
insert into longshore_bundle
    (id, sort, name, created_at, entry, told, finished_at, kept_until)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
on conflict do nothing;
