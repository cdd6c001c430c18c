-- uses: basics, keeping, counting, texts, waking, restraint
-- The many that just succeeded and of which there is nothing to tell but a result: the way of most
-- jobs, so that there is no table for a job here and next to no pattern. What restrained it is given
-- back by the list.

-- What to write for these, without writing it. `groups` are {process, run, jobs}, and their ids
-- are ARGV[at] on. `others` are those of which there is more to say, {id, process, run, to}, and
-- `lost` those that do not hold, {number from 0, state, process, run, id}.
local function succeeding(groups, at, jobs)
  local plan = {
    jobs = jobs, sets = {}, kept = {}, done = {}, gone = {}, deltas = {}, others = {}, lost = {},
    holding = {}, limited = {},
  }
  local sets, kept, deltas, index = plan.sets, plan.kept, plan.deltas, 0
  local states = values(P .. 'state', ARGV, at, at + jobs - 1)
  for _, group in ipairs(groups) do
    local process, run = group[1], group[2]
    local lease = 'running ' .. run .. ' ' .. process .. ' '
    local length = #lease
    local done, gone = plan.done[process] or {}, plan.gone[process] or {}
    plan.done[process], plan.gone[process] = done, gone
    -- Most jobs of one claim have one text: what becomes of the last one that was looked at.
    local last, text, till, running, succeeded, holds, limited
    for number = index, index + group[3] - 1 do
      local id, state = ARGV[at + number], states[number + 1]
      if state ~= last and state and sub(state, 1, length) == lease then
        -- Behind claim_id, claimed_at and attempted_at: not finalized, and then the flags.
        local stop = find(state, ' - ', length, true)
        local from = stop + 3
        local _, _, flags, sort, keep_result = find(state, '^([fhlmrs-]+) (%S+ %S+) (%S+)', from)
        if flags then
          limited = find(flags, 'l', 1, true) and not find(flags, 'r', 1, true)
          holds = find(flags, '[hs]')
          last, till = state, kept_until('succeeded', keep_result)
          text = 'succeeded ' .. sub(state, 9, stop) .. NOW .. ' ' .. sub(state, from)
          running, succeeded = sort .. ' running', sort .. ' succeeded'
        end
      end
      if state and state == last then
        done[#done + 1] = id
        if holds then plan.holding[#plan.holding + 1] = id end
        if limited then plan.limited[#plan.limited + 1] = id end
        deltas[running] = (deltas[running] or 0) - 1
        if till then
          local size = #sets
          sets[size + 1], sets[size + 2] = id, text
          if till ~= 'ever' then
            size = #kept
            kept[size + 1], kept[size + 2] = till, id
          end
          deltas[succeeded] = (deltas[succeeded] or 0) + 1
        else
          gone[#gone + 1] = id
          gone[id] = run
        end
      elseif state and sub(state, 1, length) == lease then
        plan.others[#plan.others + 1] = { id, process, run, 'succeeded' }
      else
        plan.lost[#plan.lost + 1] = { number, state, process, run, id }
      end
    end
    index = index + group[3]
  end
  return plan
end

-- Whether every one of them is plain.
local function is_whole(plan)
  return #plan.others == 0 and #plan.lost == 0
end

-- Write it, but for `sets` and `deltas`. Results are `results` pairs in ARGV from `first` on. Jobs
-- of which nothing is kept are remembered by their process, to know a repeated report by.
local function succeeded(plan, first, results)
  -- First what frees: a server whose memory is full refuses no write after one that frees.
  for process, ids in pairs(plan.done) do each('SREM', P .. 'running:' .. process, ids) end
  each('ZADD', P .. 'kept', plan.kept)
  local stirred = false
  if #plan.holding > 0 then restraint().let_go(plan.holding) end
  if #plan.limited > 0 then stirred = restraint().give_slots(plan.limited) > 0 end
  local left = results
  for process, ids in pairs(plan.gone) do
    if #ids > 0 then
      left = -1
      local words = {}
      for at, id in ipairs(ids) do words[at] = ' ' .. id .. ' ' .. ids[id] .. ' ' end
      call('HSET', P .. 'process:' .. process, 'told', table.concat(words))
      erase(ids)
    end
  end
  if left == results and is_whole(plan) and 2 * results <= CHUNK then
    if results > 0 then
      call('HSET', P .. 'result', unpack(ARGV, first, first + 2 * results - 1))
    end
  elseif results > 0 then
    local there, list = {}, {}
    for at = 1, #plan.sets, 2 do there[plan.sets[at]] = true end
    for at = first, first + 2 * results - 1, 2 do
      if there[ARGV[at]] then
        list[#list + 1] = ARGV[at]
        list[#list + 1] = ARGV[at + 1]
      end
    end
    each('HSET', P .. 'result', list)
  end
  if plan.jobs > 0 then wake(stirred) end
end
