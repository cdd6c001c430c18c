-- How many jobs of each queue, kind and state there are: field and number in turns.
return call('HGETALL', P .. 'count')
