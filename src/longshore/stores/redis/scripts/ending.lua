-- uses: jobs, succeeding
-- What a report on runs does: each ending counts once, for the run it belongs to.

-- Whether an ending that does not hold now is a repetition of one that did: process and run stay
-- on the job, and for jobs of which nothing is kept on the last report of their process.
local told = {}
local function repeated(id, state, process, run)
  if state then
    local _, _, run_now, process_now = find(state, '^%S+ (%S+) (%S+)')
    return run_now == run and process_now == process
  end
  if told[process] == nil then
    told[process] = call('HGET', P .. 'process:' .. process, 'told') or ''
  end
  return find(told[process], ' ' .. run .. ':' .. id .. ' ', 1, true) ~= nil
end

-- Endings of which nothing is kept, to know a repeated report by: a word for each process.
local gone = {}
local function remember(process, run, ids)
  local list = listed(gone, process)
  list[#list + 1] = words_of(run, ids)
end

local function remembered()
  for process, list in pairs(gone) do
    call('HSET', P .. 'process:' .. process, 'told', table.concat(list))
  end
end

local function requeue(job, ending)
  local state, at, budgets = ending[4], ending[5], ending[12]
  local queue, priority = ending[15], ending[16]
  withdraw(job)
  if budgets then tell(job, 'b', 'budgets', budgets) end
  tell(job, 'w', 'reason', ending[11])
  if state ~= 'available' and at then job.scheduled_at = at end
  step(job, state)
  if queue and queue ~= job.queue then
    count(group(job), state, -1)
    job.queue = queue
    count(group(job), state, 1)
  end
  if priority then job.priority = priority end
  if state == 'available' and ending[13] then
    tell(job, 'p', 'parked_for', ending[13])
    job.parked_by = ending[14]
  end
  place(job)
  write(job)
end

-- One ending of any sort that holds: id, process, run, to, at, failed, interrupted, entry, result,
-- result_error, reason, budgets, parked, parked_by, queue, priority.
-- Entry, result and budgets are numbers of what stands at the end of ARGV.
local LOOSE = { 8, 9, 12 }
local ENDED = { succeeded = true, cancelled = true, dead = true }
local function apply(job, ending)
  local to, why = ending[4], ending[11]
  if ending[6] then job.failures = job.failures + 1 end
  if ending[7] then job.interruptions = job.interruptions + 1 end
  if ending[8] then log(job, ending[8]) end
  if has(job, 'c') and (to == 'cancelled' or not ENDED[to]) then
    -- A person wanted it to end; what the worker says is how it stopped.
    why = has(job, 'w') and call('HGET', P .. 'reason', job.id) or why
    why = why or (to ~= 'cancelled' and 'cancelled' or nil)
    to = 'cancelled'
  elseif ending[7] and has(job, 'm') and not ENDED[to] then
    to, why = 'dead', 'interrupted'
  end
  if not ENDED[to] then
    requeue(job, ending)
    return
  end
  local id, process, run = job.id, job.process, job.run
  withdraw(job)
  if finalize(job, to, why) then
    if ending[9] then put('result', id, ending[9]) end
    if ending[10] then put('error', id, ending[10]) end
  else
    remember(process, run, { id })
  end
end

-- Take a report, of whose plain successes `plan` knows what to write; which endings were refused.
local function finish(report, plan, at)
  local _, jobs, results, others = unpack(report)
  local refused, loose, own = {}, at + jobs + 2 * results - 1, {}
  -- Looked at first: what this report is remembered by takes the place of the last one.
  for _, lost in ipairs(plan.lost) do
    local number, state, process, run, id = unpack(lost, 1, 5)
    if not repeated(id, state, process, run) then
      refused[#refused + 1] = number
    elseif not state then
      remember(process, run, { id })
    end
  end
  succeeded(plan, at + jobs, results)
  each('HSET', P .. 'state', plan.sets)
  counted(plan.deltas)
  if #plan.others > 0 then
    for first = at + jobs, loose, 2 do own[ARGV[first]] = ARGV[first + 1] end
    for _, ending in ipairs(plan.others) do
      ending[9] = own[ending[1]]
      apply(read_all({ ending[1] })[1], ending)
    end
  end
  local seen, ids = {}, {}
  for index, ending in ipairs(others) do ids[index] = ending[1] end
  local states, lines = values(P .. 'state', ids), values(P .. 'job', ids)
  for index, ending in ipairs(others) do
    local id, process, run, state = ending[1], ending[2], ending[3], states[index]
    local lease = 'running ' .. run .. ' ' .. process .. ' '
    for _, number in ipairs(LOOSE) do
      ending[number] = ending[number] and ARGV[loose + ending[number]]
    end
    if state and not seen[id] and sub(state, 1, #lease) == lease then
      seen[id] = lease
      apply(read(id, lines[index], state), ending)
    elseif seen[id] ~= lease and not repeated(id, state, process, run) then
      refused[#refused + 1] = jobs + index - 1
    end
  end
  if next(gone) then
    -- One word for the whole report: those of the plan stand alone there until now.
    for _, group in ipairs(plan.gone) do remember(unpack(group)) end
    remembered()
  end
  flush()
  return refused
end
