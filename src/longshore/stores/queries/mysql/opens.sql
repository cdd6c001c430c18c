-- When these keys open.
select convert(limit_key using utf8mb4), opens_at from longshore_opening
where limit_key in %(keys)s;
