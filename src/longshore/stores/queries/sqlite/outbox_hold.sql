-- Tell other relays that the jobs from here on are being taken care of.
update longshore_outbox set held_until = :until where position = :position;
