-- format: which layout the keys of this store have; a store without one takes ours, a migrated one is told so.
--
-- KEYS  meta
-- ARGV  ours how
-- Returns the format in force, a number. `how` is 'set' after a migration.
if how == 'set' then redis.call('HSET', k_meta, 'schema', ours) end
redis.call('HSETNX', k_meta, 'schema', ours)
return tonumber(redis.call('HGET', k_meta, 'schema'))
