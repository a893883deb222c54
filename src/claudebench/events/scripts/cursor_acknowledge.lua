-- cursor_acknowledge: somebody made up for the gaps of a group, or does without; its cursors stand behind them now.
--
-- flags  allow-oom
-- uses  position
-- KEYS  evmeta groups group gaps
-- ARGV  group
-- Returns how many gaps were noted.
local trimmed, ended = redis.call('HGET', k_evmeta, 'trimmed') or '', 0
for partition = 0, math.max(1, redis.call('HGET', k_groups, group) or 0) - 1 do
  ended = ended + redis.call('HDEL', k_gaps, group .. ':' .. partition)
  local position = redis.call('HGET', k_group(group, partition), 'pos')
  if position and is_before(position, trimmed) then redis.call('HSET', k_group(group, partition), 'pos', trimmed) end
end
return ended
