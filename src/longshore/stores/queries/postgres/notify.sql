-- Tell whoever listens, when this is committed, that there is something to look at.
select pg_notify(%(channel)s, '');
