-- Lines of the last ticks of a schedule, the newest first. ARGV: name, how many.
return call('ZREVRANGE', P .. 'ticks:' .. ARGV[4], 0, tonumber(ARGV[5]) - 1)
