-- uses: basics, taking
-- Hand what is ready to a claim that stands: its answer is the word for who waits there.

-- As the server would send it.
local function sent(value)
  if type(value) == 'table' then
    local parts = { '*' .. #value .. '\r\n' }
    for index = 1, #value do parts[index + 1] = sent(value[index]) end
    return table.concat(parts)
  elseif type(value) == 'number' then
    return ':' .. value .. '\r\n'
  end
  return '$' .. #value .. '\r\n' .. value .. '\r\n'
end

-- One job, after which he claims again at once: nobody tells him of what comes meanwhile. Who lost
-- his lease, or would have to be served in another way, is woken instead.
local function hand(ear, claim)
  local number, process, at = string.match(claim, '^work (%S+) (%S+) ()')
  if not number or not is_simple(process, number, {}) then
    return false
  end
  local ids = {}
  from_lines(cmsgpack.unpack(sub(claim, at))[1], 1, ids)
  if #ids == 0 then
    return false
  end
  local answer = handed_out(process, number, 1, ids, { nil, nil, nil, {}, '' }, nil, {}, {})
  answer[2] = '0'
  call('HDEL', P .. 'ears', ear)
  call('RPUSH', P .. 'wake:' .. ear, sent({ process, number, answer }))
  call('EXPIRE', P .. 'wake:' .. ear, 60)
  return true
end
