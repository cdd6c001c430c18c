-- Note starts under a key, with the others of the same part of its period.
insert into longshore_start (limit_key, part, at, starts, gone_at, most, per)
values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
on conflict (limit_key, part) do update
set at = excluded.at, starts = starts + excluded.starts, gone_at = excluded.gone_at,
    most = excluded.most, per = excluded.per;
