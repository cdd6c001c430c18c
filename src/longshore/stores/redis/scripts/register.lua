-- uses: freeing, more
-- Create a process's record and lease; ids are never reused. ARGV: id, record, lease.
if emptied() then
  return EMPTIED
end
local id, till = ARGV[4], string.format('%.0f', T + tonumber(ARGV[6]))
local key = P .. 'process:' .. id
if call('HSETNX', key, 'record', ARGV[5]) == 1 then
  call('HSET', key, 'lease', till, 'since', NOW, 'seen', NOW)
  call('ZADD', P .. 'leases', till, id)
  -- A short set of short members is kept as a list that is searched from its beginning each time;
  -- with one long member it is a table from the start.
  call('SADD', P .. 'running:' .. id, string.rep('-', 100))
end
return 1
