-- The starts of these keys, the oldest first.
select convert(limit_key using utf8mb4), at, starts from longshore_start
where limit_key in %(keys)s
order by limit_key, at;
