-- When those of these keys open that do by themselves.
select limit_key, opens_at from longshore_opening
where limit_key in (select value from json_each(:keys));
