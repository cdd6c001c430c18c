-- Every hash that may hold something of a job.
local TEXTS = {
  'payload', 'job', 'state', 'result', 'error', 'reason', 'runs', 'progress', 'budgets',
  'parked_for',
}
