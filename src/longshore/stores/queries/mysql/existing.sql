-- Kind and payload of those ids that are there, live or ended.
select id, kind, payload from longshore_job where id in %(ids)s
union all
select id, kind, payload from longshore_ended where id in %(ids)s;
