-- uses: freeing
-- Forget a schedule and its ticks. ARGV: name.
call('ZREM', P .. 'schedules', ARGV[4])
return call('DEL', P .. 'schedule:' .. ARGV[4], P .. 'ticks:' .. ARGV[4])
