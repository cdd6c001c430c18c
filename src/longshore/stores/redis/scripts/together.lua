-- uses: holding
-- Store jobs with the batches or workflows that they belong to, all or none. ARGV: packed, the jobs
-- as scripts/holding.lua has them, new bundles, each {id, depth, JSON, callbacks}, callbacks in turns
-- a name and a job or its payload, the batches around these, the running job that adds (or nothing),
-- {id, process, run}, and whether more is to follow; then payloads; at last, packed, for each job
-- its bundles and whom it waits for. Answers 1, which were there (numbers from 0) and who met
-- holders; {0, met} when a job is refused for that; {2, numbers} when an id is another job's; {3}
-- when they come too late.
if emptied() then
  return EMPTIED
end
local jobs, new, older, lease, opening = unpack(cmsgpack.unpack(ARGV[4]), 1, 5)
local joins = cmsgpack.unpack(ARGV[#ARGV])

local ids, there, others = {}, {}, {}
for index, job in ipairs(jobs) do ids[index] = job[ID] end
local lines = values(P .. 'job', ids)
local fresh, places, numbers = {}, {}, {}
for index, job in ipairs(jobs) do
  local line = lines[index]
  if line then
    local kind = string.match(line, '^%S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ %S+ (%S+)')
    local same = kind == job[KIND] and payload_of(job[ID], line) == ARGV[4 + index]
    local list = same and there or others
    list[#list + 1] = index - 1
  else
    fresh[#fresh + 1], places[#places + 1], numbers[#numbers + 1] = job, 4 + index, index
  end
end
-- What was stored by an earlier try is not too late; what is new may join only what has not finished.
local known, anew = {}, #fresh > 0
for _, bundle in ipairs(new) do
  known[bundle[1]] = true
  anew = anew or call('EXISTS', P .. 'bundle:' .. bundle[1]) == 0
end
for _, number in ipairs(numbers) do
  for _, bundle in ipairs(joins[number][1]) do
    if not known[bundle] then older[#older + 1] = bundle end
  end
end
-- Of a new workflow either all are there, by another request, or none: who waited for one that was
-- there before would wait for ever.
local graphs, part, alien = {}, {}, {}
for _, bundle in ipairs(new) do
  if call('EXISTS', P .. 'bundle:' .. bundle[1]) == 0 and cjson.decode(bundle[3]).sort ~= 'batch' then
    graphs[bundle[1]] = true
  end
end
for _, number in ipairs(numbers) do
  local graph = joins[number][1][1]
  if graph and graphs[graph] then part[graph] = true end
end
for _, at in ipairs(there) do
  local graph = joins[at + 1][1][1]
  if graph and part[graph] then alien[#alien + 1] = at end
end
if #alien > 0 then
  return { 2, alien }
end
if anew and lease then
  local state = call('HGET', P .. 'state', lease[1]) or ''
  local head = 'running ' .. lease[3] .. ' ' .. lease[2] .. ' '
  if sub(state, 1, #head) ~= head then
    return { 3 }
  end
end
for _, bundle in ipairs(anew and older or {}) do
  if call('HGET', P .. 'bundle:' .. bundle, 'finished') ~= '-' then
    return { 3 }
  end
end
if #others > 0 then
  return { 2, others }
end

for _, job in ipairs(fresh) do call('ZADD', P .. 'ids', 0, job[ID]) end
local stored, met = hold_all(fresh, 0, places)
local meets = {}
for at = 1, #met, 3 do
  meets[met[at] + 1] = true
  met[at] = numbers[met[at] + 1] - 1
end
if not stored then
  for _, job in ipairs(fresh) do call('ZREM', P .. 'ids', job[ID]) end
  return { 0, met }
end

local made, in_parts = {}, opening
for _, bundle in ipairs(new) do
  local id, depth, entry, callbacks = unpack(bundle)
  local key = P .. 'bundle:' .. id
  if call('EXISTS', key) == 0 then
    call('HSET', key, 'entry', entry, 'depth', depth, 'succeeded', 0, 'cancelled', 0, 'dead', 0,
      'told', 0, 'finished', '-', 'opening', opening and 1 or 0)
    for at = 1, #callbacks, 2 do
      local job = callbacks[at + 1]
      call('HSET', key, callbacks[at], type(job) == 'table' and cmsgpack.pack(job) or job)
    end
    call('ZADD', P .. 'bundles', 0, id)
    made[#made + 1] = id
  elseif not opening and call('HGET', key, 'opening') == '1' then
    call('HSET', key, 'opening', 0)
    made[#made + 1] = id
    in_parts = true
  end
end
for index, job in ipairs(fresh) do
  if not meets[index] then
    local join = joins[numbers[index]]
    for _, bundle in ipairs(join[1]) do
      call('ZADD', P .. 'members:' .. bundle, 0, job[ID])
      call('ZADD', P .. 'live:' .. bundle, 0, job[ID])
    end
    for _, parent in ipairs(join[2]) do call('SADD', P .. 'children:' .. parent, job[ID]) end
  end
end
if in_parts then
  -- What they wait for may have ended since an earlier part was stored.
  local waiting = {}
  for index, job in ipairs(fresh) do
    if job[STATE] == 'waiting' and not meets[index] then waiting[#waiting + 1] = job[ID] end
  end
  bundles().look_at(waiting)
end
bundles().settle_all(made)
return { 1, there, met }
