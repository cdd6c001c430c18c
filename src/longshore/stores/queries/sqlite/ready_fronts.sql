-- Where the first job of every queue stands that holds jobs ready to run, except where values take
-- turns: one seek a queue, however many jobs it holds. Each place is a text, as `fronts.py` says,
-- in which the queue begins with the 62nd character; a comma is between two.
with recursive found (front) as (
    select (
        select (500000 + priority) || (5000000000000000000 + scheduled_at) || id || queue
        from longshore_job indexed by longshore_job_line
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
        order by queue, priority, scheduled_at, id limit 1
    )
    union all
    select (
        select (500000 + priority) || (5000000000000000000 + scheduled_at) || id || queue
        from longshore_job indexed by longshore_job_line
        where state = 'available' and parked is null and blocked_by is null and fair_key is null
          and queue > substr(found.front, 62)
        order by queue, priority, scheduled_at, id limit 1
    )
    from found where found.front is not null
)
select group_concat(front, ',') from found;
