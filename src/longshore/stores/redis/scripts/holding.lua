-- uses: jobs
-- Jobs of an insert that have rules; each is {id, line, queue, kind, state, priority, scheduled_at,
-- expires_at, identity, flags, rules, unique key, what to do when it is held, ttl,
-- rules that it leaves to a holder it replaces, if they are not its own}.
local ID, LINE, QUEUE, KIND, STATE, PRIORITY, DUE, EXPIRES, IDENTITY, FLAGS, RULES, KEY, HELD, TTL, LEFT =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15

-- Whether a job can never start any more: it has expired, and only nobody has looked at it.
local function never(id)
  local at = call('ZSCORE', P .. 'expires', id)
  if not at or tonumber(at) > T then return false end
  local job = read_all({ id })[1]
  return job and job.attempted_at == '-'
end

-- The live holders of these keys, and the ids of those whose time to hold theirs is over.
local function holders_of(keys)
  local ids, by_key, holders, over = {}, {}, {}, {}
  for index, id in ipairs(values(P .. 'holds', keys)) do
    if id and not by_key[keys[index]] then
      by_key[keys[index]] = id
      ids[#ids + 1] = id
    end
  end
  local till = {}
  for index, text in ipairs(values(P .. 'held', ids)) do
    till[ids[index]] = text and string.match(text, '^(%S+)') or '-'
  end
  for key, id in pairs(by_key) do
    if till[id] ~= '-' and tonumber(till[id]) <= T or never(id) then
      over[#over + 1] = id
    else
      holders[key] = id
    end
  end
  return holders, over
end

-- Whom each of these jobs meets under its key, without writing anything: number -> id.
local function meeting(ruled)
  local keys, met, refused = {}, {}, {}
  for _, job in ipairs(ruled) do
    if job[KEY] then keys[#keys + 1] = job[KEY] end
  end
  local holders, over = holders_of(keys)
  for index, job in ipairs(ruled) do
    local key = job[KEY]
    if key and holders[key] then
      met[index] = holders[key]
      if job[HELD] == 'raise' then refused[#refused + 1] = index end
    elseif key then
      holders[key] = job[ID]
    end
  end
  return met, refused, over
end

local function hold(job, new)
  if new[KEY] then
    put('held', job.id, (new[TTL] and digits(T + new[TTL]) or '-') .. ' ' .. new[KEY])
    put('holds', new[KEY], job.id)
  end
end

local function describe(job, new)
  if new[RULES] then put('rules', job.id, new[RULES]) end
  if new[IDENTITY] then
    put('identity', job.id, new[IDENTITY])
    add('identities', 0, new[IDENTITY] .. ' ' .. job.id)
  end
  if new[EXPIRES] then add('expires', new[EXPIRES], job.id) end
  hold(job, new)
end

local function store(new, payload)
  local job = {
    id = new[ID], queue = new[QUEUE], kind = new[KIND], state = new[STATE],
    priority = new[PRIORITY], scheduled_at = new[DUE], flags = new[FLAGS],
    rules = new[RULES] or false,
  }
  lay(job.id, new[LINE], payload)
  describe(job, new)
  count(group(job), job.state, 1)
  place(job)
end

-- A job as it replaces another, which does not belong to what this one was to belong to.
local function replacing(new)
  if not new[LEFT] then return new end
  local left = {}
  for at = ID, TTL do left[at] = new[at] end
  left[RULES], left[FLAGS] = new[LEFT], (string.gsub(new[FLAGS], 'g', ''))
  return left
end

-- A holder that does not run gets the arguments, the time and the rules of another job.
local function replace(job, new, payload)
  withdraw(job)
  tell(job, 'p', 'parked_for', nil)
  job.parked_by, job.scheduled_at = '-', new[DUE]
  step(job, new[STATE])
  if job.expires_at ~= '-' then rem('expires', job.id) end
  job.expires_at = new[EXPIRES] or '-'
  local identity = call('HGET', P .. 'identity', job.id)
  if identity then
    rem('identities', identity .. ' ' .. job.id)
    if not new[IDENTITY] then del('identity', job.id) end
  end
  local flags = string.gsub(job.flags, '[fhlmrs]', '') .. new[FLAGS]
  flags = string.gsub(flags, '-', '')
  job.flags = flags == '' and '-' or flags
  job.rules = new[RULES] or false
  if not new[RULES] then del('rules', job.id) end
  local steps = P .. 'steps:' .. job.id
  each('HDEL', steps, call('HKEYS', steps)) -- what was done for other arguments
  lay_anew(job.id, payload)
  describe(job, new)
  place(job)
  write(job)
end

-- Store these jobs, whose payloads are ARGV[first] on, or where `places` says, unless one is refused. Answers whether they
-- were, and in turns the number of a job that met a holder, that, and whether it was replaced.
local function hold_all(ruled, first, places)
  local met, refused, over = meeting(ruled)
  local told = {}
  if #refused > 0 then
    for _, index in ipairs(refused) do
      for _, word in ipairs({ index - 1, met[index], 0 }) do told[#told + 1] = word end
    end
    return false, told
  end
  restraint().let_go(over)
  for index, new in ipairs(ruled) do
    local payload = ARGV[places and places[index] or first + index - 1]
    if not met[index] then
      store(new, payload)
    else
      local replaced = false
      rem('ids', new[ID])
      if new[HELD] == 'replace' then
        flush() -- it may be of this request
        local job = read_all({ met[index] })[1]
        -- What belongs to a batch or workflow is what others count on.
        replaced = job.state ~= 'running' and not has(job, 'g')
        if replaced then replace(job, replacing(new), payload) end
      end
      for _, word in ipairs({ index - 1, met[index], replaced and 1 or 0 }) do
        told[#told + 1] = word
      end
    end
  end
  flush()
  return true, told
end
