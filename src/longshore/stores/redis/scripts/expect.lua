-- uses: freeing, jobs
-- Somebody waits for live jobs: keep them for a while after their end. ARGV: how long, ids.
-- Answers the ids of those that are live.
local live = {}
for _, job in ipairs(read_all(rest(5))) do
  if job.finalized_at == '-' then
    live[#live + 1] = job.id
    if job.keep_result ~= '-' and tonumber(job.keep_result) < tonumber(ARGV[4]) then
      job.keep_result = ARGV[4]
      write(job)
    end
  end
end
flush()
return live
