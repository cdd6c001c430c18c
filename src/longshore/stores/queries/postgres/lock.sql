-- Keep the keys with these numbers to this transaction. All wait for each other in one order, which
-- is that of the numbers; one below those that are kept already is left out if somebody has it. The
-- time is that at which the last one was had.
with kept as materialized (
    select coalesce(nullif(current_setting('longshore.locked', true), '')::bigint, -1) as top
), got as materialized (
    select e.number,
        case when e.number > (select top from kept)
            then pg_advisory_xact_lock(e.number)::text is not null
            else pg_try_advisory_xact_lock(e.number) end as mine
    from unnest(%(numbers)s::bigint[]) as e (number)
)
select
    coalesce(array_agg(number) filter (where mine), '{}'),
    set_config('longshore.locked', greatest((select top from kept), max(number))::text, true),
    (extract(epoch from clock_timestamp()) * 1000000)::bigint
from got;
