-- uses: freeing, jobs
-- End live jobs; a running one is asked to. ARGV: whether there is a reason, the reason, ids.
-- Answers the ids that have ended, and those that were asked.
local reason = ARGV[4] == '1' and ARGV[5] or nil
local changed, requested = {}, {}
for _, job in ipairs(read_all(rest(6))) do
  if job.state == 'running' then
    mark(job, 'c', true)
    put('cancels', job.id, job.process .. ' ' .. job.run)
    if reason then tell(job, 'w', 'reason', reason) end
    write(job)
    requested[#requested + 1] = job.id
  elseif job.finalized_at == '-' then
    withdraw(job)
    finalize(job, 'cancelled', reason or 'cancelled')
    changed[#changed + 1] = job.id
  end
end
flush()
return { changed, requested }
