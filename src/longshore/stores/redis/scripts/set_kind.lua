-- uses: freeing, time, restraint, waking
-- Pause or resume a kind. ARGV: kind, whether paused, for how long (`-`: until resumed), the reason
-- with a mark before it, so that there may be none, and the key that its jobs are blocked by.
local kind, key = ARGV[4], restraint().bare(ARGV[8])
local opens = NOW
if ARGV[5] == '1' then
  opens = ARGV[6] ~= '-' and digits(T + tonumber(ARGV[6]))
  call('HSET', P .. 'kinds', kind, (opens or '-') .. ' ' .. ARGV[7])
else
  call('HDEL', P .. 'kinds', kind)
end
if opens and restraint().first_blocked(key) then
  call('ZADD', P .. 'opens', opens, key)
else
  call('ZREM', P .. 'opens', key)
end
if ARGV[5] ~= '1' then wake(true) end
return 1
