-- Where the first few jobs of a value stand at one priority, and what restrains them.
select priority, scheduled_at, id, queue, kind, rules, fair_key from longshore_job
where line = %s and place = %s
order by line, place, scheduled_at, id
limit %s
for update skip locked;
