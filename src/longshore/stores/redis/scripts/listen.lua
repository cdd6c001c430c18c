-- Be told of the next change. ARGV: who, and of what: `work`, or `all`. On a full server it is
-- left: who waits looks by himself from time to time.
redis.pcall('HSET', P .. 'ears', ARGV[4], ARGV[5])
return 1
