-- cursor_drop: a group reads no more; nothing is kept for it, and its holders are refused.
--
-- flags  allow-oom
-- KEYS  groups group holders gaps
-- ARGV  group
-- Returns 1 if there was such a group, else 0.
for partition = 0, math.max(1, redis.call('HGET', k_groups, group) or 0) - 1 do
  redis.call('DEL', k_group(group, partition))
  redis.call('HDEL', k_gaps, group .. ':' .. partition)
end
redis.call('DEL', k_holders(group))
return redis.call('HDEL', k_groups, group)
