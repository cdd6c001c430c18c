-- Set what holds for a limit.
insert into longshore_limit (name, most, per) values (:name, :most, :per)
on conflict (name) do update set most = excluded.most, per = excluded.per;
