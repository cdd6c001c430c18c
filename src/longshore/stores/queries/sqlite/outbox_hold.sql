-- Tell other relays that the jobs from here on are being taken care of, unless one of them was faster.
update longshore_outbox set held_until = :until
where position = :position and parked is null and held_until is :seen;
