-- uses: basics, succeeding, taking
-- Finish, then claim. ARGV: as `claim` has it, then as `finish` has it.
local wanted, request, free = tonumber(ARGV[6]), cmsgpack.unpack(ARGV[7]), tonumber(ARGV[8])
local report = cmsgpack.unpack(ARGV[9])
local plan, refused, ids, line = succeeding(report[1], 10, report[2]), {}, {}, nil
if #report[4] == 0 and is_whole(plan) then
  local simple, timed = is_simple(ARGV[4], ARGV[5], request[2])
  if simple then
    succeeded(plan, 10 + report[2], report[3])
    if #plan.limited > 0 and call('EXISTS', P .. 'fair') == 1 then
      line = 1 -- some that take turns were let in just now
    else
      line = from_lines(request[1], wanted, ids)
    end
    if not line then
      return {
        refused,
        handed_out(ARGV[4], ARGV[5], wanted, ids, request[4], timed, plan.sets, plan.deltas),
      }
    end
  end
end
-- uses: freeing, ending, claiming
if line then
  return {
    refused,
    claim_on(ARGV[4], ARGV[5], wanted, request, free, line, ids, plan.sets, plan.deltas),
  }
end
refused = finish(report, plan, 10)
local claimed = claim(ARGV[4], ARGV[5], wanted, request, free)
if claimed.err then
  return claimed
end
return { refused, claimed }
