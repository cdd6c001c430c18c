-- uses: holding
-- Settle ticks: of each schedule that is as it was when they were planned and whose last tick has
-- come. ARGV: firings packed, each {id, name, revision, last tick, whether a tick is skipped while
-- the last job has not ended, ticks}; a tick is {time, outcome, why, job as scripts/holding.lua has
-- it}; what is said of a tick whose last job has not ended, and of one whose unique key is held; then
-- the payloads of the jobs. A line of a tick has its time, outcome, when that was decided, job, why.
-- Answers for each firing whether it held and the lines of its ticks.
if emptied() then
  return EMPTIED
end
local OVERLAP, HELD, next_payload = ARGV[5], ARGV[6], 7

local function lives(id)
  local job = id and id ~= '' and read_all({ id })[1]
  return job and job.state ~= 'succeeded' and job.state ~= 'cancelled' and job.state ~= 'dead'
end

-- What a tick with a job comes to, once its job is stored: outcome, why, job.
local function settle(job, payload, last, overlap)
  if overlap and lives(last) then
    return 'skipped', OVERLAP, last
  end
  call('ZADD', P .. 'ids', 'NX', 0, job[ID])
  local stored, met = hold_all({ job }, payload)
  if not stored then call('ZREM', P .. 'ids', job[ID]) end
  if met[2] and met[3] == 0 then
    return 'skipped', HELD, met[2]
  end
  return 'fired', nil, met[2] or job[ID]
end

local function fire(key, firing)
  local _, name, _, till, overlap, ticks = unpack(firing)
  local last, last_at, lines, counts = call('HGET', key, 'job'), nil, {}, {}
  for _, tick in ipairs(ticks) do
    local outcome, why, id = tick[2], tick[3], nil
    if tick[4] then
      outcome, why, id = settle(tick[4], next_payload, last, overlap)
      next_payload = next_payload + 1
      if outcome == 'fired' then last, last_at = id, tick[1] end
    end
    counts[outcome] = (counts[outcome] or 0) + 1
    local line = table.concat({ tick[1], outcome, NOW, id or '-', why or '' }, ' ')
    lines[#lines + 1] = line
    call('ZADD', P .. 'ticks:' .. name, tick[1], line)
  end
  call('ZREMRANGEBYRANK', P .. 'ticks:' .. name, 0, -1001)
  call('HSET', key, 'watermark', till, 'firing', firing[1])
  call('HINCRBY', key, 'revision', 1)
  if last_at then call('HSET', key, 'job', last, 'at', last_at) end
  for outcome, number in pairs(counts) do call('HINCRBY', key, outcome, number) end
  return lines
end

local answer = {}
for index, firing in ipairs(cmsgpack.unpack(ARGV[4])) do
  local key = P .. 'schedule:' .. firing[2]
  local there = call('HMGET', key, 'revision', 'firing', 'watermark')
  if there[2] == firing[1] then
    local first = firing[6][1][1]
    answer[index] = { 1, call('ZRANGEBYSCORE', P .. 'ticks:' .. firing[2], first, firing[4]) }
  elseif there[1] ~= firing[3] or tonumber(firing[4]) > T
    or tonumber(firing[6][1][1]) <= tonumber(there[3]) -- of one that was added anew since
  then
    for _, tick in ipairs(firing[6]) do
      if tick[4] then next_payload = next_payload + 1 end
    end
    answer[index] = { 0, {} }
  else
    answer[index] = { 1, fire(key, firing) }
  end
end
return answer
