-- uses: basics, keeping, counting, texts, waking, restraint
-- The many that just succeeded and of which there is nothing to tell but a result: the way of most
-- jobs, so that there is no table for a job here and next to no pattern. What restrained it is given
-- back by the list.

-- Most jobs are kept for the same time, and so they go in the order in which they ended: a list for
-- each time tells which are next, `kept:<microseconds>`, a word `@<when>` and the ids of those that
-- ended then. `keeps` has these times by when the first of each is due. A job that leaves otherwise,
-- or ends once more, stays in its list until its turn comes: who comes to it looks when it ended.
-- Other jobs are in the sorted set `kept` by when they go. See prune.lua.
local function kept_list(lists, time)
  local list = lists[time]
  if not list then
    list = { '@' .. NOW, size = 1 }
    lists[time] = list
  end
  return list
end

local function keep(lists)
  for time, ids in pairs(lists) do
    each('RPUSH', P .. 'kept:' .. time, ids)
    call('ZADD', P .. 'keeps', 'NX', string.format('%.0f', T + time), time)
  end
end

-- What to write for these, without writing it. `groups` are {process, run, jobs}, and their ids
-- are ARGV[at] on. `others` are those of which there is more to say, {id, process, run, to},
-- `lost` those that do not hold, {number from 0, state, process, run, id}, and `gone` those of which
-- nothing is kept, {process, run, ids}.
local function succeeding(groups, at, jobs)
  local plan = {
    jobs = jobs, sets = {}, kept = {}, done = {}, gone = {}, deltas = {}, others = {}, lost = {},
    holding = {}, limited = {},
  }
  -- Sizes are kept beside the lists: to ask a list for its own takes a search.
  local argv, sets, deltas = ARGV, plan.sets, plan.deltas
  local index, set = 0, 0
  local states = values(P .. 'state', argv, at, at + jobs - 1)
  for _, group in ipairs(groups) do
    local process, run = group[1], group[2]
    local lease = 'running ' .. run .. ' ' .. process .. ' '
    local length = #lease
    local done, gone = plan.done[process] or {}, {}
    plan.done[process] = done
    local ended, left = #done, 0
    -- Most jobs of one claim have one text: what becomes of the last one that was looked at, and of
    -- how many.
    local last, text, time, kept, running, succeeded, holds, limited
    local alike = 0
    -- Where they are of many queues, the beginnings of their texts are the same all the same: up to
    -- where the flags are, how long that is, and what takes its place. And what flags say.
    local begin, size, ends, known
    local function tally()
      if alike == 0 then
        return
      end
      deltas[running] = (deltas[running] or 0) - alike
      if time then deltas[succeeded] = (deltas[succeeded] or 0) + alike end
      alike = 0
    end
    for number = index, index + group[3] - 1 do
      local id, state = argv[at + number], states[number + 1]
      if state ~= last and state and find(state, lease, 1, true) == 1 then
        if not begin or find(state, begin, 1, true) ~= 1 then
          -- Behind claim_id, claimed_at and attempted_at: not finalized, and then the flags.
          local stop = find(state, ' - ', length, true)
          begin, size = sub(state, 1, stop + 2), stop + 2
          ends = 'succeeded ' .. sub(state, 9, stop) .. NOW .. ' '
        end
        local _, _, flags, sort, keep_result =
          find(state, '^([fhlmrs-]+) (%S+ %S+) (%S+)', size + 1)
        if flags then
          tally()
          if flags ~= known then
            limited = find(flags, 'l', 1, true) and not find(flags, 'r', 1, true)
            holds, known = find(flags, '[hs]'), flags
          end
          last, time = state, kept_for('succeeded', keep_result)
          kept = time and time ~= 'ever' and kept_list(plan.kept, time)
          text = ends .. sub(state, size + 1)
          running, succeeded = sort .. ' running', sort .. ' succeeded'
        end
      end
      if state and state == last then
        ended, alike = ended + 1, alike + 1
        done[ended] = id
        if holds then plan.holding[#plan.holding + 1] = id end
        if limited then plan.limited[#plan.limited + 1] = id end
        if time then
          sets[set + 1], sets[set + 2] = id, text
          set = set + 2
          if kept then
            kept.size = kept.size + 1
            kept[kept.size] = id
          end
        else
          left = left + 1
          gone[left] = id
        end
      elseif state and find(state, lease, 1, true) == 1 then
        plan.others[#plan.others + 1] = { id, process, run, 'succeeded' }
      else
        plan.lost[#plan.lost + 1] = { number, state, process, run, id }
      end
    end
    tally()
    if left > 0 then plan.gone[#plan.gone + 1] = { process, run, gone } end
    index = index + group[3]
  end
  return plan
end

-- How a process remembers runs of which nothing is kept, to know a repeated report by.
local function words_of(run, ids)
  return ' ' .. run .. ':' .. table.concat(ids, ' ' .. run .. ':') .. ' '
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
  keep(plan.kept)
  local stirred = false
  if #plan.holding > 0 then restraint().let_go(plan.holding) end
  if #plan.limited > 0 then stirred = restraint().give_slots(plan.limited) > 0 end
  local left = results
  local told = {}
  for _, group in ipairs(plan.gone) do
    local process, run, ids = unpack(group)
    left = -1
    told[process] = (told[process] or '') .. words_of(run, ids)
    erase(ids)
  end
  for process, words in pairs(told) do
    call('HSET', P .. 'process:' .. process, 'told', words)
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
