-- uses: freeing, jobs
-- Delete ended jobs past their retention, the oldest first, and what rates need no more. ARGV: limit.
local due = call('ZRANGEBYSCORE', P .. 'kept', '-inf', NOW, 'LIMIT', 0, ARGV[4])
for _, job in ipairs(read_all(due)) do
  withdraw(job)
  forget(job)
end
flush()
-- Ledgers whose last start has left its window; the others are looked at again when theirs has.
local seen = call('ZRANGEBYSCORE', P .. 'started', '-inf', NOW, 'LIMIT', 0, ARGV[4])
local over, later = {}, {}
for index, text in ipairs(values(P .. 'starts', seen)) do
  local last, number = '', 0
  for till in string.gmatch(text or '', ';%d+ %d+ %d+ (%d+)') do
    if tonumber(till) > number then last, number = till, tonumber(till) end
  end
  if number <= T then
    over[#over + 1] = seen[index]
  else
    later[#later + 1], later[#later + 2] = last, seen[index]
  end
end
each('HDEL', P .. 'starts', over)
each('ZREM', P .. 'started', over)
each('ZREM', P .. 'rates', over)
each('ZADD', P .. 'started', later)
return #due
