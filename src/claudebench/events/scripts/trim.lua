-- trim: the oldest events go whose time is over, or that are too many, but none that a group has yet to handle; one step.
--
-- flags  allow-oom
-- uses  clock gap position
-- KEYS  ev evmeta groups group gaps
-- ARGV  given_ms actor meta retain_ms events_max
-- Returns {how many went, how many gaps are noted}. A cursor that the hard cap overtook has its gap noted and told.
local STEP, CHUNK, BYTES_MAX = 200, 20, 1048576
local groups, trimmed, lowest = redis.call('HGETALL', k_groups), redis.call('HGET', k_evmeta, 'trimmed') or '', nil
for at = 1, #groups, 2 do
  local group, partitions = groups[at], tonumber(groups[at + 1])
  for partition = 0, math.max(1, partitions) - 1 do
    local position = redis.call('HGET', k_group(group, partition), 'pos') or ''
    if partitions > 0 and is_before(position, trimmed) then note_gap(group, partition, position, trimmed) end
    if not lowest or is_before(position, lowest) then lowest = position end
  end
end

local length = redis.call('XLEN', k_ev)
local too_many, over_ms = length - events_max, now_ms - retain_ms
local gone, bytes, last = 0, 0, nil
local function may_go(id)
  local is_due = gone < too_many or tonumber(string.match(id, '^%d+')) < over_ms
  return is_due and not (lowest and is_before(lowest, id))
end
while gone < STEP and bytes < BYTES_MAX do
  local chunk, before = redis.call('XRANGE', k_ev, last and '(' .. last or '-', '+', 'COUNT', CHUNK), gone
  for _, entry in ipairs(chunk) do
    if not may_go(entry[1]) then break end
    gone, last = gone + 1, entry[1]
    for _, text in ipairs(entry[2]) do bytes = bytes + #text end
  end
  if gone - before < CHUNK then break end
end
if last then
  redis.call('XTRIM', k_ev, 'MAXLEN', length - gone)
  redis.call('HSET', k_evmeta, 'trimmed', last)
end
return {gone, redis.call('HLEN', k_gaps)}
