-- uses: basics, succeeding, taking
-- Finish, then claim. ARGV: as `claim` has it, then as `finish` has it.
local wanted, request = tonumber(ARGV[6]), cmsgpack.unpack(ARGV[7])
local report = cmsgpack.unpack(ARGV[8])
local plan, refused = succeeding(report[1], 9, report[2]), {}
if #report[4] == 0 and is_whole(plan) then
  local simple, timed = is_simple(ARGV[4], ARGV[5], request[2])
  if simple then
    succeeded(plan, 9 + report[2], report[3])
    local ids = {}
    from_lines(request[1], wanted, ids)
    return {
      refused,
      handed_out(ARGV[4], ARGV[5], wanted, ids, request[4], timed, plan.sets, plan.deltas),
    }
  end
end
-- uses: freeing, ending, claiming
refused = finish(report, plan, 9)
local claimed = claim(ARGV[4], ARGV[5], wanted, request)
if claimed.err then
  return claimed
end
return { refused, claimed }
