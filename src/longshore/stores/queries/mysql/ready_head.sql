-- Where the first few jobs of one queue stand in the order of a claim, as `fronts.py` says.
select concat(500000 + place, 5000000000000000000 + scheduled_at, id, line) from longshore_job
where line = %s
order by line, place, scheduled_at, id
limit %s;
