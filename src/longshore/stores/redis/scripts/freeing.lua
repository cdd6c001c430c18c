-- For scripts that go on when the server's memory is full. It refuses the first write of a script
-- that may take memory, and none after a write that may not: so such a one comes first. Scripts
-- with a flag for this exist only from Redis 7 on, this works on all.
call('DEL', P .. 'nothing')
