-- How many jobs of each queue, kind and state have one of these identities.
select queue, kind, state, count(*) from (
    select queue, kind, state from longshore_job where identity = any(%(identities)s::text[])
    union all
    select queue, kind, state from longshore_ended where identity = any(%(identities)s::text[])
) as j
where (%(queues)s::text[] is null or queue = any(%(queues)s::text[]))
  and (%(kinds)s::text[] is null or kind = any(%(kinds)s::text[]))
group by queue, kind, state;
