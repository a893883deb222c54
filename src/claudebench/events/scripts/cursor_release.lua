-- cursor_release: a holder lets one partition go, so that the next need not wait for the end of its lease.
--
-- flags  allow-oom
-- uses  processed
-- KEYS  group
-- ARGV  group partition holder fence
-- Returns 1 if it held it, else 0.
if not_holding(group, partition, holder, fence) then return 0 end
redis.call('HSET', k_group(group, partition), 'holder', '', 'untilMs', 0)
return 1
