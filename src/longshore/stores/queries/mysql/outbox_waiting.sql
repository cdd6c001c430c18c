-- How many jobs are on their way, how many cannot go, and why the first of those cannot.
select
    (select count(*) from longshore_outbox where store = %(store)s and parked is null),
    (select count(*) from longshore_outbox where store = %(store)s and parked is not null),
    (
        select parked from longshore_outbox
        where store = %(store)s and parked is not null order by position limit 1
    );
