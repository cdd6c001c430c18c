-- The starts of these keys, by key, the oldest first.
select limit_key, at, starts from longshore_start
where limit_key = any(%(keys)s::text[])
order by limit_key, at;
