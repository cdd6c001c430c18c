-- uses: freeing, jobs
-- Give back running jobs whose process is gone, judged now. ARGV: the dead process (empty: every
-- one without a lease), limit, whether it is known which had started, for how long an expiry is
-- doubted (empty: it is not), what to keep with the runs of those that had started, of those that
-- had not and of those whose bodies were over, then `id run` or `id run over` of each that had.
-- Answers how many jobs were withheld, then id, process, run and whether it counts as interrupted,
-- in turns.
local dead, limit, seen = ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1'
local patience = tonumber(ARGV[7])
local started, answer, withheld = {}, {}, 0
for at = 11, #ARGV do started[ARGV[at]] = true end
local gone = dead ~= '' and { dead } or call('ZRANGEBYSCORE', P .. 'leases', '-inf', NOW)

local function jobs_of(process)
  return math.max(0, call('SCARD', P .. 'running:' .. process) - 1)
end

local function ends_at(process, score)
  call('ZADD', P .. 'leases', score, process)
  call('HSET', P .. 'process:' .. process, 'lease', score)
end

-- Of processes without a lease those that were found so long ago enough. Since when one is doubted
-- lies in the end of its lease, below zero, until a beat renews it.
local function believed()
  local some = {}
  for _, process in ipairs(gone) do
    local till = tonumber(call('HGET', P .. 'process:' .. process, 'lease') or 0)
    -- A doubt that begins in the future is from before the server's clock was set back.
    if till > 0 or -till > T then
      ends_at(process, string.format('%.0f', -T))
      withheld = withheld + jobs_of(process)
    elseif till == 0 or patience - till <= T then
      some[#some + 1] = process
    else
      withheld = withheld + jobs_of(process)
    end
  end
  return some
end

if dead == '' and patience then gone = believed() end
for _, process in ipairs(gone) do
  local mine = P .. 'running:' .. process
  local taken = dead ~= ''
  if limit > 0 then
    local ids = call('SMEMBERS', mine)
    table.sort(ids) -- behind the long member that is no job
    for _, job in ipairs(read_all({ unpack(ids, 1, math.min(#ids, limit + 1)) })) do
      limit, taken = limit - 1, true
      local run = job.id .. ' ' .. job.run
      -- One that may run at most once has done so. One that was over before is spared no more.
      local over = started[run .. ' over'] and not has(job, 'm')
        and not find(call('HGET', P .. 'runs', job.id) or '', ARGV[10], 1, true)
      local interrupted = not over and (not seen or started[run] or started[run .. ' over']) or false
      for _, word in ipairs({ job.id, job.process, job.run, interrupted and 1 or 0 }) do
        answer[#answer + 1] = word
      end
      give_back(job, interrupted and 'interrupted' or 'released',
        ARGV[interrupted and 8 or over and 10 or 9])
    end
    flush()
  end
  -- A record goes after its jobs, never before: without it nobody would look for them.
  if call('SCARD', mine) <= 1 then
    call('DEL', mine, P .. 'process:' .. process)
    call('ZREM', P .. 'leases', process)
  elseif taken and call('ZSCORE', P .. 'leases', process) then
    -- Nobody can renew it now, so that what is left is found by every later call.
    ends_at(process, 0)
  end
end
table.insert(answer, 1, withheld)
return answer
