-- format: which layout the keys of this store have; a store without one takes ours.
--
-- flags  allow-oom
-- KEYS  format
-- ARGV  ours how
-- Returns {in force, on its way or 0}. `how` is 'begin' before a migration to ours, 'end' after it, 'look' to write nothing.
if how == 'begin' then redis.call('HSET', k_format, 'next', ours) end
if how == 'end' then
  redis.call('HSET', k_format, 'schema', ours)
  redis.call('HDEL', k_format, 'next')
end
if how ~= 'look' then redis.call('HSETNX', k_format, 'schema', ours) end
local kept = redis.call('HMGET', k_format, 'schema', 'next')
return {tonumber(kept[1] or ours), tonumber(kept[2] or 0)}
