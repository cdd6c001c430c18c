-- Where the first few jobs of one queue stand in the order of a claim, and what restrains them.
select priority, scheduled_at, id, line, kind, rules from longshore_job
where line = %s
order by line, place, scheduled_at, id
limit %s
for update skip locked;
