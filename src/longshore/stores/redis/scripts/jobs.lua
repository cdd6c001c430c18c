-- uses: more, waking, counting, texts, keeping, restraint, plain
-- A job between its lines: read, changed, put where it will be found, counted.
--
-- The hash `job` holds for each id one line of words, parted by spaces, written with the job:
--   state run process claim_id claimed_at attempted_at finalized_at flags queue kind keep_result
--   failures interruptions priority expires_at parked_by scheduled_at
--   max_attempts timeout extras
-- but scheduled_at and created_at, which are different for each job, are at the end of all. `-`
-- stands for none. Behind the words stands the payload, if it is small: a newline, the payload as it
-- is, and a byte that means nothing. A larger one, and one that a release before this has stored, is
-- in the hash `payload`, and no newline behind the words. So most jobs are one field less to write,
-- to seek and to delete. The byte is for Redis 6.2: there Lua finds a text among those it knows by its
-- last byte and each n-th before, the longer the text the fewer, so that a thousand jobs that differ
-- in one number within had all one place. Then reading them took six times as long.
--
-- Once something has changed, the hash `state` holds the words of the first two lines as they are
-- now; there `=` stands for what the line in `job` has, so that the jobs of one claim can have one
-- and the same text. Flags: b has budgets, c asked to end, p parked, w has a
-- reason; each text is in a hash of its own. And what its rules say, so that these need not be read
-- to know that there is nothing to do: f takes turns, h holds a unique key until it has ended, s
-- until it has started, l has limits, r none of them but rates, m runs at most once, g belongs to a
-- batch or workflow.

local NAMES = {
  'state', 'run', 'process', 'claim_id', 'claimed_at', 'attempted_at', 'finalized_at', 'flags',
  'queue', 'kind', 'keep_result', 'failures', 'interruptions', 'priority', 'expires_at',
  'parked_by', 'scheduled_at',
}
local DUE_AT = 20 -- the number of that word in the hash `job`; in the hash `state` it is the last

local puts, dels, adds, rems, members, deltas = {}, {}, {}, {}, {}, {}
local stirred, ended = false, false -- somebody may want to know
local arrived = false -- a job in a line
local erased, unheld, stopped, admits, turnless = {}, {}, {}, {}, {}
local grouped, bundles = {}, nil -- members of bundles that have ended or live again; what follows

local function listed(lists, key)
  local list = lists[key]
  if not list then
    list = {}
    lists[key] = list
  end
  return list
end

local function put(hash, id, value)
  local list = listed(puts, hash)
  list[#list + 1] = id
  list[#list + 1] = value
end

local function del(hash, id)
  local list = listed(dels, hash)
  list[#list + 1] = id
end

local function add(zset, score, member)
  local list = listed(adds, zset)
  list[#list + 1] = score
  list[#list + 1] = member
end

local function rem(zset, member)
  local list = listed(rems, zset)
  list[#list + 1] = member
end

local function count(group, state, jobs)
  local key = group .. ' ' .. state
  deltas[key] = (deltas[key] or 0) + jobs
end

-- Write all that was noted, a command for each key. A job may leave a line and come back into it,
-- and it may be told something before nothing of it is kept: hence the order.
local function flush()
  for key, list in pairs(puts) do each('HSET', P .. key, list) end
  for key, list in pairs(dels) do each('HDEL', P .. key, list) end
  for key, list in pairs(rems) do
    each(sub(key, 1, 8) == 'running:' and 'SREM' or 'ZREM', P .. key, list)
  end
  for key, list in pairs(adds) do each('ZADD', P .. key, list) end
  if arrived then call('EXPIRE', P .. 'calm', 0) end -- see fronts.lua
  arrived = false
  for key, list in pairs(members) do
    for member in pairs(list) do call('SADD', P .. key, member) end
  end
  counted(deltas)
  puts, dels, adds, rems, members, deltas = {}, {}, {}, {}, {}, {}
  -- Whom others let in stands where it waits by now, and its rules are there until the end.
  if #unheld > 0 then restraint().let_go(unheld) end
  if #stopped > 0 and restraint().give_slots(stopped) > 0 then stirred = true end
  if next(admits) and restraint().admit_all(admits) > 0 then stirred = true end
  for queue in pairs(turnless) do
    if call('EXISTS', P .. 'fair:' .. queue) == 0 then call('SREM', P .. 'fair', queue) end
  end
  if #grouped > 0 then
    local gone, woken, over = erased, stirred, ended
    erased, unheld, stopped, admits, turnless = {}, {}, {}, {}, {}
    bundles().follow()
    erased, stirred, ended = gone, woken, over
  end
  erase(erased)
  erased, unheld, stopped, admits, turnless = {}, {}, {}, {}, {}
  if stirred or ended then wake(stirred) end
  stirred, ended = false, false
end

local function read(id, line, state)
  local job, number = { id = id }, 0
  for word in string.gmatch(line, '%S+') do
    number = number + 1
    if number < #NAMES then
      job[NAMES[number]] = word
    elseif number == DUE_AT then
      job.scheduled_at = word
      break
    end
  end
  if state then
    number = 0
    for word in string.gmatch(state, '%S+') do
      number = number + 1
      if word ~= '=' then job[NAMES[number]] = word end
    end
  end
  return job
end

local function line_of(job)
  local words = {}
  for number, name in ipairs(NAMES) do words[number] = job[name] end
  return table.concat(words, ' ')
end

local function write(job)
  put('state', job.id, line_of(job))
end

-- The jobs of these ids, in their order, without those that are not there.
local function read_all(ids)
  local jobs, states, blocked = {}, values(P .. 'state', ids), values(P .. 'blocked_by', ids)
  for index, line in ipairs(values(P .. 'job', ids)) do
    if line then
      local job = read(ids[index], line, states[index])
      job.blocked = blocked[index]
      jobs[#jobs + 1] = job
    end
  end
  return jobs
end

local function has(job, flag)
  return find(job.flags, flag, 1, true) ~= nil
end

local function mark(job, flag, on)
  local others = string.gsub(job.flags, '[' .. flag .. '-]', '')
  job.flags = on and others .. flag or (others == '' and '-' or others)
end

-- A text beside the line of words; nil takes it away.
local function tell(job, flag, hash, text)
  if text then
    put(hash, job.id, text)
    mark(job, flag, true)
  elseif has(job, flag) then
    del(hash, job.id)
    mark(job, flag, false)
  end
end

local function group(job)
  return job.queue .. ' ' .. job.kind
end

-- Where an available job stands in its line: the score is its priority, the member its due time
-- and id, so that members of one score are in order as they are. What a claim has to look at more
-- closely has a mark behind: f takes turns, l has limits.
local function place_in_line(job)
  local place = sub('000000000000000' .. job.scheduled_at, -16) .. job.id
  if not find(job.flags, '[fl]') then
    return place
  end
  return place .. ' ' .. (has(job, 'f') and 'f' or '') .. (has(job, 'l') and 'l' or '')
end

local function rules_of(job)
  local text = job.rules
  if text == nil then text = call('HGET', P .. 'rules', job.id) end
  return text and restraint().rules_of(text) or { limits = {} }
end

-- Where it stands among those that take turns, and among those that are blocked.
local function place_in_turn(job)
  return restraint().rank(job.priority) .. ' ' .. rules_of(job).value .. ' ' .. place_in_line(job)
end

local function blocked_place(job)
  local to, rule = restraint(), nil
  for _, limit in ipairs(rules_of(job).limits) do
    if limit.raw == job.blocked then rule = rule or limit end
  end
  return to.bare(job.blocked) .. ' ' .. job.queue .. ' ' .. to.rule_word(rule) .. ' '
    .. to.rank(job.priority) .. ' ' .. place_in_line(job)
end

local function parked_line(job)
  return job.kind .. ' ' .. job.parked_by .. ' ' .. job.queue
end

local function place(job)
  if job.state == 'available' then
    if has(job, 'p') then
      local line = parked_line(job)
      add('parked:' .. line, job.priority, place_in_line(job))
      listed(members, 'parked')[line] = true
    else
      if has(job, 'f') then
        add('fair:' .. job.queue, 0, place_in_turn(job))
        listed(members, 'fair')[job.queue] = true
      else
        add('line:' .. job.queue, job.priority, place_in_line(job))
        arrived = true
      end
      listed(members, 'ready')[job.queue] = true
    end
    stirred = true
  elseif job.state ~= 'waiting' then
    add('timed', job.scheduled_at, job.id)
    stirred = true
  end
end

-- A job with limits that leaves its line without having run makes room for the next.
local function admit_others(job)
  for _, limit in ipairs(rules_of(job).limits) do
    admits[limit.key] = (admits[limit.key] or 0) + 1
  end
end

local function withdraw(job)
  if job.blocked then
    rem('blocked', blocked_place(job))
    del('blocked_by', job.id)
    admits[restraint().bare(job.blocked)] = admits[restraint().bare(job.blocked)] or 0
    job.blocked = nil
  elseif job.state == 'available' then
    if has(job, 'p') then
      rem('parked:' .. parked_line(job), place_in_line(job))
    elseif has(job, 'f') then
      rem('fair:' .. job.queue, place_in_turn(job))
      turnless[job.queue] = true
    else
      rem('line:' .. job.queue, place_in_line(job))
    end
    if has(job, 'l') and not has(job, 'p') then admit_others(job) end
  elseif job.state == 'scheduled' or job.state == 'retrying' then
    rem('timed', job.id)
  elseif job.state == 'running' then
    rem('running:' .. job.process, job.id)
    if has(job, 'l') and not has(job, 'r') then stopped[#stopped + 1] = job.id end
  elseif job.state ~= 'waiting' then
    rem('kept', job.id)
    if job.state ~= 'succeeded' then rem('ended:' .. job.state, job.id) end
  end
end

local function step(job, state)
  count(group(job), job.state, -1)
  count(group(job), state, 1)
  job.state = state
end

-- A job that has been withdrawn leaves the store.
local function forget(job)
  count(group(job), job.state, -1)
  erased[#erased + 1] = job.id
  if has(job, 'c') then del('cancels', job.id) end
  if find(job.flags, '[hs]') then unheld[#unheld + 1] = job.id end
end

-- A job that has been withdrawn has ended; `why` may be nil. False when nothing of it is kept.
local function finalize(job, state, why)
  if has(job, 'c') then
    del('cancels', job.id)
    mark(job, 'c', false)
  end
  tell(job, 'b', 'budgets', nil)
  tell(job, 'p', 'parked_for', nil)
  job.parked_by = '-'
  ended = true
  if find(job.flags, '[hs]') then unheld[#unheld + 1] = job.id end
  local till = kept_until(state, job.keep_result)
  if has(job, 'g') then
    grouped[#grouped + 1] = { job.id, state }
    till = till or string.format('%.0f', T + 1) -- until pruning has looked at what it belongs to
  end
  if not till then
    forget(job)
    return false
  end
  tell(job, 'w', 'reason', why)
  step(job, state)
  job.finalized_at = NOW
  if till ~= 'ever' then add('kept', till, job.id) end
  if state ~= 'succeeded' then add('ended:' .. state, 0, job.id) end
  write(job)
  return true
end

-- A line for the history, a JSON object; the first 20 and the last 80 are kept.
local function log(job, entry)
  local runs = call('HGET', P .. 'runs', job.id)
  if runs then
    local _, lines = string.gsub(runs, '\n', '\n')
    if lines >= 99 then
      local at = 0
      for _ = 1, 20 do at = find(runs, '\n', at + 1, true) end
      local from = at
      for _ = 1, lines - 98 do from = find(runs, '\n', from + 1, true) end
      runs = sub(runs, 1, at) .. sub(runs, from + 1)
    end
    entry = runs .. '\n' .. entry
  end
  put('runs', job.id, entry)
end

-- A running job goes on elsewhere: nobody may report on this run any more. One that a person wants
-- to end has ended by it. `note` is what more to keep with its run, members of a JSON object.
local function give_back(job, why, note)
  log(job, '{"run":' .. job.run .. ',"process":' .. cjson.encode(plain_text(job.process))
    .. ',"started_at":' .. job.claimed_at .. ',"ended_at":' .. NOW .. ',"why":"' .. why .. '"' .. (note or '') .. '}')
  withdraw(job)
  job.process = '-'
  if why == 'interrupted' then job.interruptions = job.interruptions + 1 end
  if has(job, 'c') then
    local reason = has(job, 'w') and call('HGET', P .. 'reason', job.id)
    finalize(job, 'cancelled', reason or 'cancelled')
  elseif why == 'interrupted' and has(job, 'm') then
    finalize(job, 'dead', 'interrupted')
  else
    step(job, 'available')
    place(job)
    write(job)
  end
end

-- Cancel jobs that may not start any more; how many entries were looked at, at most `limit`. The
-- entry of a job that has started or gone stays until its time, and means nothing then.
local function expire(limit)
  local due = call('ZRANGEBYSCORE', P .. 'expires', '-inf', NOW, 'LIMIT', 0, limit)
  if #due == 0 then
    return 0, 0
  end
  local expired = 0
  for _, job in ipairs(read_all(due)) do
    local waits = job.state == 'available' or job.state == 'scheduled' or job.state == 'waiting'
    if waits and job.attempted_at == '-' and job.expires_at ~= '-'
      and tonumber(job.expires_at) <= T then
      withdraw(job)
      finalize(job, 'cancelled', 'expired')
      expired = expired + 1
    end
  end
  each('ZREM', P .. 'expires', due)
  flush()
  return #due, expired
end

-- Make due jobs available; how many.
local function promote(limit)
  local due = call('ZRANGEBYSCORE', P .. 'timed', '-inf', NOW, 'LIMIT', 0, limit)
  for _, job in ipairs(read_all(due)) do
    withdraw(job)
    step(job, 'available')
    place(job)
    write(job)
  end
  flush()
  return #due
end
-- uses: payloads, bundling
