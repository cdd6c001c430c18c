-- uses: freeing, time, waking
-- Pause or resume a queue. ARGV: name, whether paused, for how long (`-`: until resumed), and the
-- reason with a mark before it, so that there may be none.
if ARGV[5] == '1' then
  local till = ARGV[6] == '-' and '-' or string.format('%.0f', T + tonumber(ARGV[6]))
  call('HSET', P .. 'paused', ARGV[4], till .. ' ' .. ARGV[7])
elseif call('HDEL', P .. 'paused', ARGV[4]) == 1 then
  wake(true)
end
return 1
