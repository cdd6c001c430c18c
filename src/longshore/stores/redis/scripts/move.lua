-- uses: freeing, jobs
-- Put jobs that have not ended and do not run into another queue. ARGV: queue, ids. Answers the
-- ids that moved.
local changed = {}
for _, job in ipairs(read_all(rest(5))) do
  if job.state ~= 'running' and job.finalized_at == '-' then
    withdraw(job)
    count(group(job), job.state, -1)
    job.queue = ARGV[4]
    count(group(job), job.state, 1)
    place(job)
    write(job)
    changed[#changed + 1] = job.id
  end
end
flush()
return changed
