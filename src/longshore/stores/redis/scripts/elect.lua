-- uses: freeing, time
-- Become or stay the one that prunes. ARGV: process, lease.
local process, till = string.match(call('GET', P .. 'leader') or '', '^(%S+) (%S+)$')
if process and process ~= ARGV[4] and tonumber(till) > T then
  return 0
end
call('SET', P .. 'leader', ARGV[4] .. ' ' .. string.format('%.0f', T + tonumber(ARGV[5])))
return 1
