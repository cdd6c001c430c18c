-- Where the first few jobs of one queue stand in the order of a claim.
select place, scheduled_at, id, line from longshore_job
where line = %s
order by line, place, scheduled_at, id
limit %s;
