-- Whether this role may make and drop partitions.
select pg_has_role(c.relowner, 'usage')
from pg_catalog.pg_class as c where c.oid = to_regclass('longshore_ended');
