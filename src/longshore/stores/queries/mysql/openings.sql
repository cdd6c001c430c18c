-- Keys that are to open by now.
select convert(limit_key using utf8mb4) from longshore_opening
where opens_at <= %(now)s
order by limit_key;
