-- cursor_acknowledge: somebody made up for the gaps of a group, or does without; the cursors that had one stand behind
-- it now, and that is told.
--
-- flags  allow-oom
-- uses  presence sweep refuse event position
-- KEYS  evmeta groups group gaps
-- ARGV  given_ms actor meta group
-- Returns {position, how many gaps were noted}; refuses with NOT_FOUND an unknown group. Where none was noted nothing is
-- changed, and the position is the newest. What the event itself cuts from a log at its cap is passed too.
local partitions = tonumber(redis.call('HGET', k_groups, group))
if not partitions then return refuse(NOT_FOUND, 'no such group reads this log', 'group', group) end
local gapped = {}
for partition = 0, math.max(1, partitions) - 1 do
  if redis.call('HDEL', k_gaps, group .. ':' .. partition) == 1 then gapped[#gapped + 1] = partition end
end
if #gapped == 0 then return {last_position(), 0} end
local at = emit('event.gap_acknowledged', group, '{"group":"' .. group .. '","gaps":' .. #gapped .. '}')
local trimmed = redis.call('HGET', k_evmeta, 'trimmed') or ''
for _, partition in ipairs(gapped) do
  local position = redis.call('HGET', k_group(group, partition), 'pos') or ''
  if is_before(position, trimmed) then redis.call('HSET', k_group(group, partition), 'pos', trimmed) end
end
return {at, #gapped}
