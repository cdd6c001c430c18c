-- uses: freeing, jobs
-- Give back running jobs whose process is gone, judged now. ARGV: the dead process (empty: every
-- one without a lease), limit, whether it is known which had started, what to keep with the runs of
-- those that had and of those that had not, then `id run` of each that had. Answers id, process, run and whether it was interrupted, in turns.
local dead, limit, seen = ARGV[4], tonumber(ARGV[5]), ARGV[6] == '1'
local started, answer = {}, {}
for at = 9, #ARGV do started[ARGV[at]] = true end
local gone = dead ~= '' and { dead } or call('ZRANGEBYSCORE', P .. 'leases', '-inf', NOW)
for _, process in ipairs(gone) do
  local mine = P .. 'running:' .. process
  if limit > 0 then
    local ids = call('SMEMBERS', mine)
    table.sort(ids) -- behind the long member that is no job
    for _, job in ipairs(read_all({ unpack(ids, 1, math.min(#ids, limit + 1)) })) do
      limit = limit - 1
      local interrupted = not seen or started[job.id .. ' ' .. job.run] or false
      for _, word in ipairs({ job.id, job.process, job.run, interrupted and 1 or 0 }) do
        answer[#answer + 1] = word
      end
      give_back(job, interrupted and 'interrupted' or 'released', ARGV[interrupted and 7 or 8])
    end
    flush()
  end
  -- A record goes after its jobs, never before: without it nobody would look for them.
  if call('SCARD', mine) <= 1 then
    call('DEL', mine, P .. 'process:' .. process)
    call('ZREM', P .. 'leases', process)
  elseif call('ZSCORE', P .. 'leases', process) then
    -- Nobody can renew it now, so that what is left is found by every later call.
    call('ZADD', P .. 'leases', 0, process)
    call('HSET', P .. 'process:' .. process, 'lease', 0)
  end
end
return answer
