-- uses: freeing, jobs
-- Make ended, retrying and scheduled jobs available now; the counters of an ended one begin anew.
-- ARGV: ids. Answers the ids that changed, and those whose unique key another job holds.
local changed, held = {}, {}

-- Take the key again that the job had until it ended.
local function takes_key(job)
  if not has(job, 'h') and not (has(job, 's') and job.attempted_at == '-') then
    return true
  end
  local rule = rules_of(job).hold
  if call('HSETNX', P .. 'holds', rule.key, job.id) == 0 then
    return false
  end
  local till = rule.ttl and digits(T + rule.ttl) or '-'
  call('HSET', P .. 'held', job.id, till .. ' ' .. rule.key)
  return true
end

for _, job in ipairs(read_all(rest(4))) do
  local over = job.finalized_at ~= '-'
  if over and not takes_key(job) then
    held[#held + 1] = job.id
  elseif over or job.state == 'scheduled' or job.state == 'retrying' then
    local state = over and has(job, 'g') and bundles().again(job) or 'available'
    withdraw(job)
    if over then
      job.failures, job.interruptions, job.finalized_at = '0', '0', '-'
      del('result', job.id)
      del('error', job.id)
      tell(job, 'w', 'reason', nil)
      -- A person wants it to run all the same.
      if job.expires_at ~= '-' and tonumber(job.expires_at) <= T then job.expires_at = '-' end
    end
    job.scheduled_at = NOW
    step(job, state)
    place(job)
    write(job)
    changed[#changed + 1] = job.id
  end
end
flush()
return { changed, held }
