-- uses: basics
-- Every hash that may hold something of a job.
local TEXTS = {
  'payload', 'job', 'state', 'result', 'error', 'reason', 'runs', 'progress', 'budgets',
  'parked_for', 'identity', 'rules', 'blocked_by',
}

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
  for _, hash in ipairs(TEXTS) do each('HDEL', P .. hash, ids) end
  each('ZREM', P .. 'ids', ids)
end
