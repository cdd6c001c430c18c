-- What the last start under each of these rates knew of it.
select limit_key, most, per from longshore_start where limit_key = any(%(keys)s::text[]);
