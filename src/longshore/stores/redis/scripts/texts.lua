-- uses: basics
-- Every hash that may hold something of a job.
local TEXTS = {
  'payload', 'job', 'state', 'result', 'error', 'reason', 'runs', 'progress', 'budgets',
  'parked_for', 'identity', 'rules', 'blocked_by',
}

-- What jobs leave beside their words: steps:ID, name -> words; log:ID, lines by number; and in
-- `noted` which jobs have left any. Most have none.
local function forget_notes(ids)
  if call('EXISTS', P .. 'noted') == 0 then
    return
  end
  for first = 1, #ids, CHUNK do
    local last = math.min(first + CHUNK - 1, #ids)
    for index, there in ipairs(call('SMISMEMBER', P .. 'noted', unpack(ids, first, last))) do
      if there == 1 then
        local id = ids[first + index - 1]
        call('DEL', P .. 'steps:' .. id, P .. 'log:' .. id)
        call('SREM', P .. 'noted', id)
      end
    end
  end
end

-- Nothing of these jobs is kept.
local function erase(ids)
  if #ids == 0 then
    return
  end
  if call('EXISTS', P .. 'identity') == 1 then
    local entries = {}
    for index, identity in ipairs(values(P .. 'identity', ids)) do
      if identity then entries[#entries + 1] = identity .. ' ' .. ids[index] end
    end
    each('ZREM', P .. 'identities', entries)
  end
  if call('EXISTS', P .. 'expires') == 1 then each('ZREM', P .. 'expires', ids) end
  forget_notes(ids)
  -- To hand over many ids for nothing costs more than to ask.
  for _, hash in ipairs(TEXTS) do
    if call('EXISTS', P .. hash) == 1 then each('HDEL', P .. hash, ids) end
  end
  each('ZREM', P .. 'ids', ids)
end
