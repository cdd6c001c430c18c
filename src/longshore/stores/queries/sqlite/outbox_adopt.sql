-- What was on its way to a store that is gone goes to this one.
update longshore_outbox set store = :store, held_until = null
where position in (
    select position from longshore_outbox where parked is null and store = :other
    union all
    select position from longshore_outbox where parked is not null and store = :other
);
