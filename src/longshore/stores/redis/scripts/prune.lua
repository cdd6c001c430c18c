-- uses: freeing, jobs
-- Delete ended jobs past their retention, the oldest first, and what rates need no more. ARGV: limit.
local due = call('ZRANGEBYSCORE', P .. 'kept', '-inf', NOW, 'LIMIT', 0, ARGV[4])
local pruned = 0
for _, job in ipairs(read_all(due)) do
  local longer = has(job, 'g') and bundles().kept_back(job.id)
  if longer then
    add('kept', string.format('%.0f', T + longer), job.id)
  else
    withdraw(job)
    forget(job)
    pruned = pruned + 1
  end
end
flush()
-- Bundles that are past theirs, with as many of their members as of jobs.
for _, bundle in ipairs(call('ZRANGEBYSCORE', P .. 'bundles_kept', '-inf', NOW, 'LIMIT', 0, 10)) do
  local members = P .. 'members:' .. bundle
  for _, id in ipairs(call('ZRANGE', members, 0, tonumber(ARGV[4]) - 1)) do
    call('DEL', P .. 'children:' .. id)
  end
  call('ZREMRANGEBYRANK', members, 0, tonumber(ARGV[4]) - 1)
  if call('EXISTS', members) == 0 then
    call('DEL', P .. 'bundle:' .. bundle)
    call('ZREM', P .. 'bundles', bundle)
    call('ZREM', P .. 'bundles_kept', bundle)
  end
end
-- Ledgers whose last start has left its window; the others are looked at again when theirs has.
local seen = call('ZRANGEBYSCORE', P .. 'started', '-inf', NOW, 'LIMIT', 0, ARGV[4])
local over, later, older = {}, {}, values(P .. 'older', seen)
for index, text in ipairs(values(P .. 'starts', seen)) do
  local last, number = '', 0
  for till in string.gmatch((text or '') .. (older[index] or ''), ';%d+ %d+ %d+ (%d+)') do
    if tonumber(till) > number then last, number = till, tonumber(till) end
  end
  if number <= T then
    over[#over + 1] = seen[index]
  else
    later[#later + 1], later[#later + 2] = last, seen[index]
  end
end
each('HDEL', P .. 'starts', over)
each('HDEL', P .. 'older', over)
each('ZREM', P .. 'started', over)
each('ZREM', P .. 'rates', over)
each('ZADD', P .. 'started', later)
return pruned
