-- uses: basics
-- Of more numbers than these it is quicker to read all and to write all.
local ONE_BY_ONE = 8

-- Add to the numbers of jobs of each queue, kind and state; those that come to nothing go.
local function counted(deltas)
  local names, number = {}, 0
  for key, jobs in pairs(deltas) do
    if jobs ~= 0 then
      number = number + 1
      names[number] = key
    end
  end
  if #names <= ONE_BY_ONE then
    for _, key in ipairs(names) do
      if call('HINCRBY', P .. 'count', key, deltas[key]) == 0 then
        call('HDEL', P .. 'count', key)
      end
    end
    return
  end
  -- Numbers are handed on as texts, which the same ones share: the server is slow at writing them.
  local sets, gone, last, texts = {}, {}, 0, {}
  local before = values(P .. 'count', names)
  for index = 1, #names do
    local key = names[index]
    local jobs = (before[index] or 0) + deltas[key]
    if jobs == 0 then
      gone[#gone + 1] = key
    else
      local text = texts[jobs]
      if not text then
        text = string.format('%.0f', jobs)
        texts[jobs] = text
      end
      sets[last + 1], sets[last + 2] = key, text
      last = last + 2
    end
  end
  each('HSET', P .. 'count', sets)
  each('HDEL', P .. 'count', gone)
end
