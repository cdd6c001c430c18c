-- uses: freeing, jobs
-- Delete ended jobs past their retention, the oldest first, and what rates need no more. ARGV: limit.
local due = call('ZRANGEBYSCORE', P .. 'kept', '-inf', NOW, 'LIMIT', 0, ARGV[4])
for _, job in ipairs(read_all(due)) do
  withdraw(job)
  forget(job)
end
flush()
-- Ledgers whose last start has left its window, and that no start has touched since.
local over = call('ZRANGEBYSCORE', P .. 'started', '-inf', NOW, 'LIMIT', 0, ARGV[4])
local ledgers = {}
for index, key in ipairs(over) do ledgers[index] = P .. 'starts:' .. key end
for first = 1, #ledgers, CHUNK do
  call('DEL', unpack(ledgers, first, math.min(first + CHUNK - 1, #ledgers)))
end
each('ZREM', P .. 'started', over)
each('ZREM', P .. 'rates', over)
return #due
