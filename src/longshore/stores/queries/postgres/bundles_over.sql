-- Some finished bundles past their retention.
select id::text from longshore_bundle where kept_until is not null and kept_until <= %(now)s
order by kept_until
limit 10
for update skip locked;
