-- uses: freeing, jobs
-- Remove jobs that do not run. ARGV: ids. Answers the ids that were removed.
local changed = {}
for _, job in ipairs(read_all(rest(4))) do
  if job.state ~= 'running' and not (has(job, 'g') and bundles().is_bound(job.id)) then
    withdraw(job)
    forget(job)
    changed[#changed + 1] = job.id
  end
end
flush()
return changed
