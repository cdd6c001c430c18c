-- uses: freeing, jobs, gates
-- Make due jobs available; cancel those that have expired. ARGV: limit.
local limit = tonumber(ARGV[4])
local _, expired = expire(limit)
local promoted = promote(limit)
open_gates()
heal(limit)
return expired + promoted
