-- Begin runs of these jobs, which this transaction holds as it does the keys of their limits, under
-- one process's lease: all of them where even all together fit, and `more` that do not start now,
-- else none. Nor does it where jobs wait for one of the rates, which open at another time then.
with full_slot as materialized (
    select 1 from (
        select key, jobs, most
        from unnest(%(slots)s::text[], %(jobs)s::bigint[], %(most)s::bigint[])
            as e (key, jobs, most)
        union all
        select slot_key, count(*), null from longshore_job
        where state = 'running' and slot_key = any(%(slots)s::text[])
        group by slot_key
        union all
        select limit_key, count(*), null from longshore_slot
        where limit_key = any(%(slots)s::text[])
        group by limit_key
    ) as u (key, jobs, most)
    group by key
    having sum(jobs) > max(most)
    limit 1
), rate as materialized (
    select key, starts, starts + coalesce(more, 0) as needed, most, per, coalesce(said_most, most) as said_most,
        coalesce(said_per, per) as said_per
    from unnest(
        %(rates)s::text[], %(starts)s::bigint[], %(more)s::bigint[], %(rate_most)s::bigint[], %(rate_per)s::bigint[],
        %(said_most)s::bigint[], %(said_per)s::bigint[]
    ) as e (key, starts, more, most, per, said_most, said_per)
), full_rate as materialized (
    select 1 from rate as e join longshore_start as s on s.limit_key = e.key
    where e.needed + s.starts[cardinality(s.at)]
        - coalesce(s.starts[width_bucket(%(now)s::bigint - e.per, s.at)], s.base) > e.most
    limit 1
), fits as materialized (
    select not (
        exists (select from full_slot)
        or exists (select from rate where needed > most)
        or exists (select from full_rate)
        or exists (select from longshore_job where blocked_by = any(%(rates)s::text[]))
    ) as all_
), started as (
    insert into longshore_start as s (limit_key, part, at, starts, base, gone_at, most, per)
    select c.key, %(now)s::bigint / greatest(1, c.per / 100), array[%(now)s::bigint],
        array[c.starts], 0, %(now)s::bigint + c.per, c.said_most, c.said_per
    from rate as c where c.starts > 0 and (select all_ from fits)
    on conflict (limit_key) do update
    set at = s.at[
            width_bucket(2 * excluded.at[1] - excluded.gone_at, s.at) + 1
            : cardinality(s.at) - (s.part = excluded.part)::int
        ] || greatest(excluded.at[1], s.at[cardinality(s.at)]),
        starts = s.starts[
            width_bucket(2 * excluded.at[1] - excluded.gone_at, s.at) + 1
            : cardinality(s.at) - (s.part = excluded.part)::int
        ] || s.starts[cardinality(s.at)] + excluded.starts[1],
        base = coalesce(
            s.starts[width_bucket(2 * excluded.at[1] - excluded.gone_at, s.at)], s.base
        ),
        part = excluded.part, gone_at = excluded.gone_at, most = excluded.most, per = excluded.per
), taken as (
    update longshore_job as j
    set state = 'running', run = j.run + 1, claimed_by = %(process_id)s,
        claim_id = %(claim_id)s, claimed_at = %(now)s,
        attempted_at = coalesce(j.attempted_at, %(now)s), parked = null, parked_by = null,
        unique_key = case when j.rules is null or strpos(j.rules, '"until_started":') = 0
            then j.unique_key end,
        slot_key = e.slot
    from unnest(%(ids)s::uuid[], %(keys)s::text[]) as e (id, slot)
    where j.id = e.id and (select all_ from fits)
)
select all_ from fits;
