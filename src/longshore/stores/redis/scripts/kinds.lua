-- uses: time
-- The paused kinds, and those whose pause is over.
return { NOW, call('HGETALL', P .. 'kinds') }
