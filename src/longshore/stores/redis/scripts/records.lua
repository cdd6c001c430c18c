-- uses: basics
-- Jobs as people read them.
local COLUMNS = {
  'job', 'state', 'payload', 'result', 'error', 'reason', 'parked_for', 'progress', 'runs',
  'identity', 'rules', 'blocked_by',
}

-- A list for each column, in the order of the ids.
local function records(ids)
  local columns = { ids }
  for index, hash in ipairs(COLUMNS) do columns[index + 1] = values(P .. hash, ids) end
  return columns
end
