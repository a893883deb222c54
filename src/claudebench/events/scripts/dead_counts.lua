-- dead_counts: how many dead letters a group has.
--
-- KEYS  letters lettermeta retrying
-- ARGV  group
-- Returns {dead letters, retries that wait, letters that were dropped because there were too many}.
local dropped = tonumber(redis.call('HGET', k_lettermeta(group), 'dropped') or 0)
return {redis.call('HLEN', k_letters(group)), redis.call('HLEN', k_retrying(group)), dropped}
