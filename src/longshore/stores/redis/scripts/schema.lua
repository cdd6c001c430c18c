-- The form of the keys of this store, and its epoch.
return call('HGETALL', P .. 'schema')
