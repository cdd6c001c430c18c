-- Be told no more. ARGV: who.
call('HDEL', P .. 'ears', ARGV[4])
call('DEL', P .. 'wake:' .. ARGV[4])
return 1
