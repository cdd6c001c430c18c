-- Begin a store: its epoch, which no other has, and the form of its keys. ARGV: both. What is there
-- stays as it is.
call('HSETNX', P .. 'schema', 'epoch', ARGV[4])
call('HSETNX', P .. 'schema', 'form', ARGV[5])
return call('HGETALL', P .. 'schema')
