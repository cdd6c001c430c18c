-- uses: freeing, jobs
-- Make due jobs available; cancel those that have expired. ARGV: limit.
local _, expired = expire(tonumber(ARGV[4]))
return expired + promote(tonumber(ARGV[4]))
