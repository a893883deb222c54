-- cursor_commit: what a holder has handled counts, of each partition that it has not lost meanwhile; it also holds them
-- longer.
-- Assessment: EXACTLY_ONCE_DELIVERY
--
-- flags  allow-oom
-- uses  clock processed
-- KEYS  group
-- ARGV  given_ms group holder lease_ms ...
-- Takes partition, fence and position of each. Returns the partitions, of these, that it does not hold any more: there
-- nothing was changed. A position only moves forward; '' leaves it.
local lost = {}
for at = 5, #ARGV, 3 do
  local partition, fence, position = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if not_holding(group, partition, holder, fence) then
    lost[#lost + 1] = tonumber(partition)
  else
    mark_processed(group, partition, position)
    redis.call('HSET', k_group(group, partition), 'untilMs', now_ms + lease_ms)
  end
end
return lost
