-- uses: time
-- Every registered process: its record, since when, last seen, lease, running jobs.
local answer = {}
for _, id in ipairs(call('ZRANGE', P .. 'leases', 0, -1)) do
  local told = call('HMGET', P .. 'process:' .. id, 'record', 'since', 'seen', 'lease')
  told[5] = call('SCARD', P .. 'running:' .. id) - 1
  answer[#answer + 1] = told
end
return { NOW, answer }
