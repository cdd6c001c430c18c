-- uses: jobs, taking, ruling
-- What a claim does in all cases: promote what is due, cancel what has expired, then take jobs.

local STEP, ROUNDS = 500, 4 -- due and expired jobs that a claim moves along the way

-- Parked jobs stand in lines by kind, digest and queue; those of this digest have been tried.
local function from_parked(kinds, digest, wanted, free, taken)
  local paused, held, wants, keys = paused_queues(), paused_kinds() or {}, {}, {}
  for _, kind in ipairs(kinds) do wants[kind] = true end
  for _, line in ipairs(call('SMEMBERS', P .. 'parked')) do
    local kind, by, queue = string.match(line, '^(%S+) (%S+) (%S+)$')
    if wants[kind] and by ~= digest and not paused[queue] and not held[kind] then
      keys[#keys + 1] = P .. 'parked:' .. line
    end
  end
  if #keys > 0 and not merged(keys, wanted, taken) then
    ruled_parked(keys, wanted, free, taken)
  end
end

-- The jobs that the claim of this number took and that still run, in the order of a line.
local function claimed_again(process, claim_id)
  local jobs, ids, others = {}, {}, {}
  for _, job in ipairs(read_all(call('SMEMBERS', P .. 'running:' .. process))) do
    if job.claim_id == claim_id then jobs[#jobs + 1] = job end
  end
  table.sort(jobs, function(a, b)
    if a.priority ~= b.priority then return tonumber(a.priority) < tonumber(b.priority) end
    return place_in_line(a) < place_in_line(b)
  end)
  for index, job in ipairs(jobs) do
    ids[index] = job.id
    told_of(others, index, line_of(job), has(job, 'b') and call('HGET', P .. 'budgets', job.id))
  end
  local lines = values(P .. 'job', ids)
  return #ids > 0 and { 1, '', NOW, ids, lines, larger(ids, lines), others }
end

-- The answer of a claim that has taken these; `more`: there may be others at once.
local function answered(process, claim_id, wanted, ids, ears, more, sets, deltas)
  local timed = call('ZRANGE', P .. 'timed', 0, 0, 'WITHSCORES')[2]
  local opens = call('ZRANGE', P .. 'opens', 0, 0, 'WITHSCORES')[2]
  if more then
    timed = NOW
  elseif opens and (not timed or tonumber(opens) < tonumber(timed)) then
    timed = opens
  end
  return handed_out(process, claim_id, wanted, ids, ears, timed, sets, deltas)
end

-- Go on with a claim that was a simple one until it came to the line of this number.
local function claim_on(process, claim_id, wanted, request, free, line, ids, sets, deltas)
  local more = ruled_lines(request[1], line, wanted, free, ids)
  return answered(process, claim_id, wanted, ids, request[4], more, sets, deltas)
end

local function claim(process, claim_id, wanted, request, free)
  local lines, parked_kinds, digest, ears = unpack(request)
  local lease, last = unpack(call('HMGET', P .. 'process:' .. process, 'lease', 'claim'))
  if not lease or tonumber(lease) <= T then
    return not lease and emptied() and EMPTIED or { 0 }
  end
  local again = last and tonumber(claim_id) <= tonumber(last) and claimed_again(process, claim_id)
  if again then
    return again
  end
  promote(STEP)
  local rounds = 0
  repeat
    rounds = rounds + 1
    if rounds > ROUNDS then
      -- So many have expired that the others would have to be searched for: come again.
      return { 1, '0', NOW, {}, {}, {}, {} }
    end
  until expire(STEP) < STEP
  open_gates()
  local ids, more = {}, false
  if wanted > 0 and #parked_kinds > 0 then
    from_parked(parked_kinds, digest, wanted, free, ids)
  elseif wanted > 0 then
    local at = 1
    if call('EXISTS', P .. 'kinds', P .. 'fair') == 0 then at = from_lines(lines, wanted, ids) end
    more = at and ruled_lines(lines, at, wanted, free, ids)
  end
  return answered(process, claim_id, wanted, ids, ears, more, {}, {})
end
