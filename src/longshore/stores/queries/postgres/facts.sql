-- What the server says of itself, of others and of this user's rights, as names and values; what
-- this user may not see is missing or null.
select name, reset_val from pg_settings
where name in (
    'server_version', 'fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum',
    'default_transaction_isolation', 'default_transaction_read_only', 'max_connections',
    'superuser_reserved_connections', 'reserved_connections'
)
union all
select 'in_recovery', pg_is_in_recovery()::text
union all
select 'schema', coalesce(current_schema()::text, '')
union all
select 'search_path', current_setting('search_path')
union all
select 'now', (extract(epoch from clock_timestamp()) * 1000000)::bigint::text
union all
select 'connections', count(*)::text from pg_stat_activity where datid is not null
union all
select 'hidden', count(*)::text from pg_stat_activity
where datid is not null and backend_type is null
union all
select 'oldest_transaction', max(extract(epoch from clock_timestamp() - xact_start))::bigint::text
from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
  and (backend_xmin is not null or backend_xid is not null)
union all
select 'oldest_prepared', max(extract(epoch from clock_timestamp() - prepared))::bigint::text
from pg_prepared_xacts where database = current_database()
union all
select 'role_limit', nullif(rolconnlimit, -1)::text from pg_roles where rolname = current_user
union all
select 'database_limit', nullif(datconnlimit, -1)::text
from pg_database where datname = current_database()
union all
select 'missing_rights', string_agg(r.name || ' on ' || c.relname, ', ' order by c.relname, r.name)
from unnest(array['select', 'insert', 'update', 'delete']) as r (name), pg_class as c
where c.oid in (to_regclass('longshore_job'), to_regclass('longshore_process'))
  and not has_table_privilege(c.oid, r.name);
