-- Some finished bundles past their retention.
select id from longshore_bundle where kept_until <= %(now)s
order by kept_until
limit 10
for update skip locked;
