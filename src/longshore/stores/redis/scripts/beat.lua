-- uses: freeing, jobs
-- Renew leases, those that ran out too unless somebody has taken a job of theirs; give back claims
-- that never arrived, fetch orders. ARGV: lease (empty: only listen), then for each process its id
-- and its oldest open claim. Answers the lost, cancels (id, process, run), the kinds of parked jobs,
-- and how many processes have a lease.
local lease = ARGV[4] ~= '' and string.format('%.0f', T + tonumber(ARGV[4]))
local lost, live, cancels, kinds = {}, {}, {}, {}
for at = 5, #ARGV, 2 do
  local id = ARGV[at]
  local till = call('HGET', P .. 'process:' .. id, 'lease')
  if till and tonumber(till) ~= 0 then
    live[id] = true
    if lease then
      call('ZADD', P .. 'leases', lease, id)
      call('HSET', P .. 'process:' .. id, 'lease', lease, 'seen', NOW)
    end
    local oldest = tonumber(ARGV[at + 1])
    for _, job in ipairs(read_all(call('SMEMBERS', P .. 'running:' .. id))) do
      if tonumber(job.claim_id) < oldest then give_back(job, 'released') end
    end
  else
    lost[#lost + 1] = id
  end
end
flush()
if #lost > 0 and emptied() then
  return EMPTIED
end
local asked = call('HGETALL', P .. 'cancels')
for index = 1, #asked, 2 do
  local process, run = string.match(asked[index + 1], '^(%S+) (%S+)$')
  if live[process] then
    for _, word in ipairs({ asked[index], process, run }) do cancels[#cancels + 1] = word end
  end
end
for _, line in ipairs(call('SMEMBERS', P .. 'parked')) do
  if call('EXISTS', P .. 'parked:' .. line) == 1 then
    kinds[#kinds + 1] = string.match(line, '^%S+')
  else
    call('SREM', P .. 'parked', line)
  end
end
return { lost, cancels, kinds, call('ZCOUNT', P .. 'leases', '(' .. NOW, '+inf') }
