-- Begin a store: its epoch, which no other has, and the form of its keys. ARGV: both. Of a store that
-- is there only an older form changes: from then on releases that know no newer one stay away.
local form = call('HGET', P .. 'schema', 'form')
if not form or tonumber(form) < tonumber(ARGV[5]) then
  call('HDEL', P .. 'schema', 'form') -- after this a full server refuses no more
  call('HSETNX', P .. 'schema', 'epoch', ARGV[4])
  call('HSET', P .. 'schema', 'form', ARGV[5])
end
return call('HGETALL', P .. 'schema')
