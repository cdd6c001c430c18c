-- Note jobs that are on their way to another store, in their order.
insert into longshore_outbox (store, job, made_at)
select %(store)s::text, j.job, %(now)s::bigint
from json_array_elements_text(%(jobs)s::text::json) with ordinality as j (job, place)
order by j.place;
