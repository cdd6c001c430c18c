-- uses: basics, succeeding
-- Report ends; which endings were refused, by their number from 0. ARGV: the report packed, ids of
-- plain successes, pairs of id and result, and what other endings have to tell.
local report = cmsgpack.unpack(ARGV[4])
local plan = succeeding(report[1], 5, report[2])
if #report[4] == 0 and is_whole(plan) then
  succeeded(plan, 5 + report[2], report[3])
  each('HSET', P .. 'state', plan.sets)
  counted(plan.deltas)
  return {}
end
-- uses: freeing, ending
return finish(report, plan, 5)
