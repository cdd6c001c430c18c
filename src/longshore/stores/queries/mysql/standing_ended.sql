-- What a person's order has to know of ended jobs.
select id, state, queue, kind, rules, nullif(attempted_at, 0) from longshore_ended
where id in %(ids)s
order by id
for update;
