-- What changes when a job arrives, becomes ready or ends: the ends of three indexes.
select
    (select max(id) from longshore_job),
    (
        select id from longshore_job
        where line >= '0' and line < '{'
        order by line, place, scheduled_at, id
        limit 1
    ),
    (select max(position) from longshore_count);
