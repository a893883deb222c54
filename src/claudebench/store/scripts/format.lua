-- format: which layout the keys of this store have; a store without one takes ours.
--
-- KEYS  meta
-- ARGV  ours
-- Returns the format in force, a number.
redis.call('HSETNX', k_meta, 'schema', ours)
return tonumber(redis.call('HGET', k_meta, 'schema'))
