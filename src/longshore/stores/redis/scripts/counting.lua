-- uses: basics
-- Of more numbers than these it is quicker to read all and to write all.
local ONE_BY_ONE = 8

-- Add to the numbers of jobs of each queue, kind and state; those that come to nothing go.
local function counted(deltas)
  local names = {}
  for key, jobs in pairs(deltas) do
    if jobs ~= 0 then names[#names + 1] = key end
  end
  if #names <= ONE_BY_ONE then
    for _, key in ipairs(names) do
      if call('HINCRBY', P .. 'count', key, deltas[key]) == 0 then
        call('HDEL', P .. 'count', key)
      end
    end
    return
  end
  local sets, gone = {}, {}
  for index, before in ipairs(values(P .. 'count', names)) do
    local key = names[index]
    local jobs = (before and tonumber(before) or 0) + deltas[key]
    if jobs == 0 then
      gone[#gone + 1] = key
    else
      sets[#sets + 1] = key
      sets[#sets + 1] = jobs
    end
  end
  each('HSET', P .. 'count', sets)
  each('HDEL', P .. 'count', gone)
end
