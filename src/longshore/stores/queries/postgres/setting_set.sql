-- Set what holds for all keys of a limit.
insert into longshore_limit (name, most, per) values (%(name)s, %(most)s, %(per)s)
on conflict (name) do update set most = excluded.most, per = excluded.per;
