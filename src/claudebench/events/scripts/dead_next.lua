-- dead_next: what a partition of a group is to be delivered once more, the first of it.
--
-- KEYS  retries retrying
-- ARGV  group partition
-- Returns {position, letter}, or {} when there is nothing.
local first = redis.call('ZRANGE', k_retries(group, partition), 0, 0)[1]
return first and {first, redis.call('HGET', k_retrying(group), first)} or {}
