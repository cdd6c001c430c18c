-- Numbers to add up; those that somebody adds just now are left for the next time.
select position, queue, kind, state, jobs from longshore_count
order by position
limit %(limit)s
for update skip locked;
