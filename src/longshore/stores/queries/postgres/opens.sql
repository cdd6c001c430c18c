-- When those of these keys have room again that do by themselves.
select limit_key, opens_at from longshore_opening where limit_key = any(%(keys)s::text[]);
