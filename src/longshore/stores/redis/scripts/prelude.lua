-- Put before every script. KEYS[1] is the store's hash tag, with which all of its keys begin, so
-- that they lie in one slot of a cluster. ARGV[1] is the time in microseconds (empty: the server's
-- own), ARGV[2] the epoch of the store, ARGV[3] how long ended jobs stay; ARGV[4] on is the
-- script's own.
--
-- Every function that a script defines is made anew in each call, a third of a microsecond each,
-- and every command costs two or three beside its own work. So the common way through a script
-- comes first and takes few of both; what only the others need is named by a line `uses` behind it
-- and put in there.
local P, call, find, sub = KEYS[1], redis.call, string.find, string.sub

local CHUNK = 4000 -- Lua's stack takes some thousand values in one call
