-- uses: time
-- One command over a list, in as few calls as the stack allows.
local function each(command, key, list)
  local last = #list
  if last == 0 then
    return
  elseif last <= CHUNK then
    call(command, key, unpack(list))
    return
  end
  for first = 1, last, CHUNK do
    call(command, key, unpack(list, first, math.min(first + CHUNK - 1, last)))
  end
end

-- The values of many fields of a hash, false where there is none.
local function values(key, fields, first, last)
  first, last = first or 1, last or #fields
  if last < first then
    return {}
  elseif last - first < CHUNK then
    return call('HMGET', key, unpack(fields, first, last))
  end
  local all = {}
  for from = first, last, CHUNK do
    local some = call('HMGET', key, unpack(fields, from, math.min(from + CHUNK - 1, last)))
    for _, value in ipairs(some) do all[#all + 1] = value end
  end
  return all
end
