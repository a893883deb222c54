-- cursor_release: a holder lets one partition go, so that the next need not wait for the end of its lease, and says how
-- far it has handled it.
--
-- flags  allow-oom
-- uses  processed
-- KEYS  group
-- ARGV  group partition holder fence position
-- Returns 1 if it held it, else 0. A position of '' says that no more is handled than is known.
if not_holding(group, partition, holder, fence) then return 0 end
if position ~= '' then mark_processed(group, partition, position) end
redis.call('HSET', k_group(group, partition), 'holder', '', 'untilMs', 0, 'live', 0)
return 1
