-- Batches and workflows: what follows when one of their jobs ends, or lives again. Made only where a
-- script meets such a job, which has the flag `g`.
--
--   bundles        the ids of all;  bundles_kept  the finished ones by when they go
--   bundle:ID      its fields: what it is as JSON, how many jobs have ended in which way, what has
--                  been told (1 a death, 2 its completion, 4 its success), when it finished, and
--                  its callbacks as scripts/holding.lua has jobs, each with its payload
--   members:ID     its jobs;  live:ID  those that have not ended; all scores are 0
--   children:JOB   who waits for a job
local function bundling()
  local TOLD = { death = 1, complete = 2, success = 4 }
  local MARK = '"longshore:output:'
  local touched, busy = {}, false

  local function rules_in(id)
    local text = call('HGET', P .. 'rules', id)
    return text and cjson.decode(text) or { bundles = {} }
  end

  -- Whether one of the bundles of a job has not finished.
  local function is_bound(id)
    for _, bundle in ipairs(rules_in(id).bundles or {}) do
      if call('HGET', P .. 'bundle:' .. bundle, 'finished') == '-' then
        return true
      end
    end
    return false
  end

  -- For how long an ended job stays whose time is over, microseconds: while one of its bundles has not
  -- finished, and as long as it can be retried with its workflow. Nil: it may go.
  local function kept_back(id)
    local longest
    for _, bundle in ipairs(rules_in(id).bundles or {}) do
      local entry, finished, dead, cancelled =
        unpack(call('HMGET', P .. 'bundle:' .. bundle, 'entry', 'finished', 'dead', 'cancelled'))
      if finished == '-' then return 60000000 end
      if entry and (dead ~= '0' or cancelled ~= '0') and cjson.decode(entry).sort ~= 'batch' then
        local till = call('ZSCORE', P .. 'bundles_kept', bundle)
        if not till or tonumber(till) > T then longest = 3600000000 end
      end
    end
    return longest
  end

  -- The first dependency that keeps a job waiting, and the first that ended badly.
  local function blockers(rules)
    local first, bad
    for _, after in ipairs(rules.after or {}) do
      local id = after.job_id
      local text = call('HGET', P .. 'state', id) or call('HGET', P .. 'job', id) or ''
      local state = string.match(text, '^%S+')
      local lost = after.takes and call('HEXISTS', P .. 'error', id) == 1
      if state ~= 'succeeded' or lost then first = first or id end
      if state == 'dead' or state == 'cancelled' or state == 'succeeded' and lost then
        bad = bad or id
      end
    end
    return first, bad
  end

  -- Put the outputs that a job takes into its arguments, in one pass: an output that looks like a
  -- mark is not filled again.
  local function fill(id, rules)
    local taken = {}
    for _, after in ipairs(rules.after or {}) do
      if after.takes then taken[after.job_id] = true end
    end
    if not next(taken) then return end
    local payload, pieces, done = payload_of(id, call('HGET', P .. 'job', id)), {}, 1
    local from, to = find(payload, MARK, 1, true)
    while from do
      local other = sub(payload, to + 1, to + 36)
      if taken[other] and sub(payload, to + 37, to + 37) == '"' then
        pieces[#pieces + 1] = sub(payload, done, from - 1)
        pieces[#pieces + 1] = call('HGET', P .. 'result', other) or 'null'
        done = to + 38
      end
      from, to = find(payload, MARK, to + 1, true)
    end
    pieces[#pieces + 1] = sub(payload, done)
    if #pieces > 1 then lay_anew(id, table.concat(pieces)) end
  end

  local function go_on(ids)
    for _, job in ipairs(read_all(ids)) do
      local rules = job.state == 'waiting' and rules_in(job.id)
      local first, bad
      if rules then first, bad = blockers(rules) end
      if rules and rules.cascade and bad then
        withdraw(job)
        finalize(job, 'cancelled', 'dependency ' .. bad .. ' has not succeeded')
      elseif rules and not first then
        fill(job.id, rules)
        local later = tonumber(job.scheduled_at) > T
        if not later then job.scheduled_at = NOW end
        step(job, later and 'scheduled' or 'available')
        place(job)
        write(job)
      end
    end
  end

  -- The state in which an ended job lives again: it may have to wait for others still.
  local function again(job)
    grouped[#grouped + 1] = { job.id, job.state, true }
    local rules = rules_in(job.id)
    if not rules.after or job.attempted_at ~= '-' then
      return 'available'
    elseif blockers(rules) then
      return 'waiting'
    end
    fill(job.id, rules)
    return 'available'
  end

  local function count_in(id, state, back)
    for _, bundle in ipairs(rules_in(id).bundles or {}) do
      local key = P .. 'bundle:' .. bundle
      if call('EXISTS', key) == 1 then
        touched[bundle] = true
        call('HINCRBY', key, state, back and -1 or 1)
        if back then
          call('ZADD', P .. 'live:' .. bundle, 0, id)
        else
          call('ZREM', P .. 'live:' .. bundle, id)
        end
      end
    end
  end

  local function call_back(key, name)
    local packed, payload = unpack(call('HMGET', key, 'on_' .. name, 'with_' .. name))
    if not packed then
      return
    end
    local new = cmsgpack.unpack(packed)
    local id, queue, kind, rules = new[1], new[3], new[4], new[11]
    -- Its delay and its expiry count from now, not from when it was bound.
    local words = {}
    for one in string.gmatch(new[2], '%S+') do words[#words + 1] = one end
    local bound, due = tonumber(words[21]), T
    if new[5] == 'scheduled' then due = math.max(T + new[7] - bound, tonumber(new[7])) end
    local expires = new[8] and string.format('%.0f', T + new[8] - bound)
    local state = due > T and 'scheduled' or 'available'
    due = string.format('%.0f', due)
    words[1], words[15], words[20], words[21] = state, expires or '-', due, NOW
    call('ZADD', P .. 'ids', 0, id)
    lay(id, table.concat(words, ' '), payload)
    if rules then put('rules', id, rules) end
    if new[9] then
      put('identity', id, new[9])
      add('identities', 0, new[9] .. ' ' .. id)
    end
    if expires then add('expires', expires, id) end
    local job = {
      id = id, queue = queue, kind = kind, state = state, priority = new[6], scheduled_at = due,
      flags = new[10], rules = rules or false,
    }
    count(group(job), state, 1)
    place(job)
  end

  -- Finish a bundle or let it go on; its callbacks come, each once.
  local function settle(bundle)
    local key = P .. 'bundle:' .. bundle
    local cancelled, dead, told, finished, opening =
      unpack(call('HMGET', key, 'cancelled', 'dead', 'told', 'finished', 'opening'))
    if opening == '1' then
      return
    end
    told = tonumber(told)
    local due = {}
    if dead ~= '0' then due[1] = 'death' end
    local live = call('EXISTS', P .. 'live:' .. bundle) == 1
    if live then
      finished = '-'
      call('ZREM', P .. 'bundles_kept', bundle)
    else
      if finished == '-' then finished = NOW end
      due[#due + 1] = 'complete'
      if dead == '0' and cancelled == '0' then due[#due + 1] = 'success' end
      local worst = dead ~= '0' and 'dead' or cancelled ~= '0' and 'cancelled' or 'succeeded'
      local till = kept_until(worst, '0')
      if till == 'ever' then
        call('ZREM', P .. 'bundles_kept', bundle)
      else
        call('ZADD', P .. 'bundles_kept', till or NOW, bundle)
      end
    end
    for _, name in ipairs(due) do
      if math.floor(told / TOLD[name]) % 2 == 0 then
        told = told + TOLD[name]
        call_back(key, name)
      end
    end
    call('HSET', key, 'told', told, 'finished', finished)
  end

  local function settle_all(list)
    table.sort(list, function(a, b)
      return tonumber(call('HGET', P .. 'bundle:' .. a, 'depth'))
        > tonumber(call('HGET', P .. 'bundle:' .. b, 'depth'))
    end)
    for _, bundle in ipairs(list) do settle(bundle) end
    flush()
  end

  -- Count what has ended or lives again, open or cancel who waited for it, finish what is done.
  local function follow()
    if busy then
      return
    end
    busy = true
    while #grouped > 0 do
      local noted, seen, children = grouped, {}, {}
      grouped = {}
      for _, one in ipairs(noted) do
        count_in(one[1], one[2], one[3])
        -- Who lives again opens nobody, and dooms nobody.
        for _, child in ipairs(one[3] and {} or call('SMEMBERS', P .. 'children:' .. one[1])) do
          if not seen[child] then children[#children + 1] = child end
          seen[child] = true
        end
      end
      table.sort(children)
      go_on(children)
      flush()
    end
    local list = {}
    for bundle in pairs(touched) do list[#list + 1] = bundle end
    touched = {}
    settle_all(list)
    busy = false
  end

  -- Open or cancel jobs that wait for others which may have ended before they came.
  local function look_at(ids)
    flush()
    go_on(ids)
    flush()
    follow()
  end

  return { again = again, follow = follow, look_at = look_at, is_bound = is_bound,
    kept_back = kept_back, settle_all = settle_all }
end

local bundles_made
bundles = function()
  bundles_made = bundles_made or bundling()
  return bundles_made
end
