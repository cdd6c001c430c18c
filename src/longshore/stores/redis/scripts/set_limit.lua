-- uses: freeing, time, restraint, waking
-- What holds for every key of a limit from now on. ARGV: its name, and that as JSON (empty: what
-- the declaration says again).
local to, name, keys = restraint(), ARGV[4], 0
if ARGV[5] == '' then
  call('HDEL', P .. 'settings', name)
else
  call('HSET', P .. 'settings', name, ARGV[5])
end
for _, sort in ipairs({ 'c:', 'r:' }) do
  local head = to.bare(sort .. name .. ':')
  local from = '[' .. head
  while true do
    local entry = call('ZRANGEBYLEX', P .. 'blocked', from, '+', 'LIMIT', 0, 1)[1]
    local key = entry and string.match(entry, '^%S+')
    if not key or sub(key, 1, #head) ~= head then break end
    local limit = to.limit_in(sub(string.match(entry, '^%S+ %S+ %S+ %S+ (%S+)'), 17), key)
    if limit and limit.name == name then
      keys = keys + 1
      local more = keys > BLOCKED
      if not more then
        local _
        _, more = to.admit(key, BLOCKED)
      end
      to.reopen(key, more) -- the claims that follow let in the rest
    end
    from = '[' .. key .. '!'
  end
end
wake(true)
return 1
