-- Jobs whose time to start has passed, whatever has become of them.
select id from longshore_expiry
where expires_at <= %(now)s
order by expires_at, id
limit %(limit)s
for update skip locked;
