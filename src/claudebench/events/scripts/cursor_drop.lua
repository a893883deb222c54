-- cursor_drop: a group reads no more; nothing is kept for it, and its holders are refused.
--
-- flags  allow-oom
-- KEYS  groups group holders gaps letters letterage lettermeta retrying retries
-- ARGV  group
-- Returns 1 if there was such a group, else 0.
for partition = 0, math.max(1, redis.call('HGET', k_groups, group) or 0) - 1 do
  redis.call('UNLINK', k_group(group, partition), k_retries(group, partition))
  redis.call('HDEL', k_gaps, group .. ':' .. partition)
end
redis.call('UNLINK', k_holders(group), k_letters(group), k_letterage(group), k_lettermeta(group), k_retrying(group))
return redis.call('HDEL', k_groups, group)
