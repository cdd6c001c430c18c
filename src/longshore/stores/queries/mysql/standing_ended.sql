-- What a person's order has to know of ended jobs.
select id, state, queue, kind from longshore_ended
where id in %(ids)s
order by id
for update;
