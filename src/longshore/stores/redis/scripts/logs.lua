-- Lines of the log of a job. ARGV: id, the number behind which they are, how many at most.
return call('ZRANGEBYSCORE', P .. 'log:' .. ARGV[4], '(' .. ARGV[5], '+inf', 'LIMIT', 0, ARGV[6])
