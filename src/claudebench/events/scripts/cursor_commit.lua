-- cursor_commit: what a holder has handled counts, unless it lost the partition meanwhile; it also holds it longer.
-- Assessment: EXACTLY_ONCE_DELIVERY
--
-- flags  allow-oom
-- uses  clock processed
-- KEYS  group
-- ARGV  given_ms group partition holder fence position lease_ms
-- Returns 1; refuses with STALE who does not hold it any more. A position only moves forward.
local refusal = not_holding(group, partition, holder, fence)
if refusal then return refusal end
mark_processed(group, partition, position)
redis.call('HSET', k_group(group, partition), 'untilMs', now_ms + lease_ms)
return 1
