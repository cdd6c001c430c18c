-- Some finished bundles past their retention.
select id from longshore_bundle where kept_until is not null and kept_until <= :now
order by kept_until limit 10;
