-- uses: freeing, jobs
-- Delete ended jobs past their retention, the oldest first. ARGV: limit.
local due = call('ZRANGEBYSCORE', P .. 'kept', '-inf', NOW, 'LIMIT', 0, ARGV[4])
for _, job in ipairs(read_all(due)) do
  withdraw(job)
  forget(job)
end
flush()
return #due
