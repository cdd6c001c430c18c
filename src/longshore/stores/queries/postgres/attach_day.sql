-- Make it the partition of its day. Nothing is read through: jobs of the rest have no day.
alter table longshore_ended attach partition longshore_ended_d{day}
    for values from ({day}) to ({day} + 1);
