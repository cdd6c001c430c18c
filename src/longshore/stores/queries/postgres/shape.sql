-- What the tables in the first schema of the search path consist of, in words.
select c.relname::text, 'column ' || a.attname,
    format_type(a.atttypid, a.atttypmod)
    || case when a.attnotnull then ' not null' else '' end
    || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
    || case when o.collname = 'C' then ' collate "C"' else '' end
from pg_catalog.pg_class as c
join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_catalog.pg_attrdef as d on d.adrelid = c.oid and d.adnum = a.attnum
left join pg_catalog.pg_collation as o on o.oid = a.attcollation
where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
union all
select t.relname::text, 'index ' || i.relname,
    replace(pg_get_indexdef(i.oid), quote_ident(current_schema()) || '.', '')
from pg_catalog.pg_index as x
join pg_catalog.pg_class as i on i.oid = x.indexrelid
join pg_catalog.pg_class as t on t.oid = x.indrelid
where t.relnamespace = current_schema()::regnamespace and t.relkind in ('r', 'p');
