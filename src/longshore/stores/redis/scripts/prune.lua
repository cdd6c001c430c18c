-- uses: freeing, jobs
-- Delete ended jobs past their retention, the oldest first, and what rates need no more. ARGV: limit.
-- Entries that mean nothing any more do not count as jobs, but are looked at all the same.
local left, pruned = tonumber(ARGV[4]), 0
local looks = 4 * left

-- These jobs are due, but for those that turn out to be in bundles that stay.
local function leave(jobs)
  for _, job in ipairs(jobs) do
    local longer = has(job, 'g') and bundles().kept_back(job.id)
    if longer then
      add('kept', string.format('%.0f', T + longer), job.id)
    else
      withdraw(job)
      forget(job)
      left = left - 1
      pruned = pruned + 1
    end
  end
  flush()
end

-- Of the list of those that are kept for this time, what is due until then, at most what is left.
local function from_list(time, till)
  local key, ended, ids, at, seen = P .. 'kept:' .. time, nil, {}, {}, 0
  local read = call('LRANGE', key, 0, left)
  for _, word in ipairs(read) do
    if sub(word, 1, 1) == '@' then
      if tonumber(sub(word, 2)) + time > till then break end
      ended = sub(word, 2)
    else
      if not at[word] then ids[#ids + 1] = word end
      at[word] = ended -- the last time counts, if it ended more than once
    end
    seen = seen + 1
  end
  call('LTRIM', key, seen, -1)
  local first = call('LINDEX', key, 0)
  if not first then
    call('ZREM', P .. 'keeps', time)
  else
    if sub(first, 1, 1) ~= '@' then
      first = '@' .. ended
      call('LPUSH', key, first)
    end
    call('ZADD', P .. 'keeps', string.format('%.0f', sub(first, 2) + time), time)
  end
  looks = looks - seen
  local jobs = {}
  for _, job in ipairs(read_all(ids)) do
    -- It may have been retried since, and run, and ended again.
    if job.state == 'succeeded' and job.finalized_at == at[job.id] then jobs[#jobs + 1] = job end
  end
  leave(jobs)
end

-- The oldest of all first: as far as one list goes before another has an older one.
while left > 0 and looks > 0 do
  local lists = call('ZRANGE', P .. 'keeps', 0, 1, 'WITHSCORES')
  local others = call('ZRANGE', P .. 'kept', 0, 0, 'WITHSCORES')
  local list, other = tonumber(lists[2]) or T + 1, tonumber(others[2]) or T + 1
  if math.min(list, other) > T then break end
  if list <= other then
    from_list(lists[1], math.min(T, other, tonumber(lists[4]) or T))
  else
    local due = call('ZRANGEBYSCORE', P .. 'kept', '-inf', string.format('%.0f', math.min(T, list)),
      'LIMIT', 0, left)
    looks = looks - #due
    leave(read_all(due))
  end
end
-- Bundles that are past theirs, with as many of their members as of jobs.
for _, bundle in ipairs(call('ZRANGEBYSCORE', P .. 'bundles_kept', '-inf', NOW, 'LIMIT', 0, 10)) do
  local members = P .. 'members:' .. bundle
  for _, id in ipairs(call('ZRANGE', members, 0, tonumber(ARGV[4]) - 1)) do
    call('DEL', P .. 'children:' .. id)
  end
  call('ZREMRANGEBYRANK', members, 0, tonumber(ARGV[4]) - 1)
  if call('EXISTS', members) == 0 then
    call('DEL', P .. 'bundle:' .. bundle)
    call('ZREM', P .. 'bundles', bundle)
    call('ZREM', P .. 'bundles_kept', bundle)
  end
end
-- Ledgers whose last start has left its window; the others are looked at again when theirs has.
local seen = call('ZRANGEBYSCORE', P .. 'started', '-inf', NOW, 'LIMIT', 0, ARGV[4])
local over, later, older = {}, {}, values(P .. 'older', seen)
for index, text in ipairs(values(P .. 'starts', seen)) do
  local last, number = '', 0
  for till in string.gmatch((text or '') .. (older[index] or ''), ';%d+ %d+ %d+ (%d+)') do
    if tonumber(till) > number then last, number = till, tonumber(till) end
  end
  if number <= T then
    over[#over + 1] = seen[index]
  else
    later[#later + 1], later[#later + 2] = last, seen[index]
  end
end
each('HDEL', P .. 'starts', over)
each('HDEL', P .. 'older', over)
each('ZREM', P .. 'started', over)
each('ZREM', P .. 'rates', over)
each('ZADD', P .. 'started', later)
return pruned
