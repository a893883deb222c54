-- gap: events that went before a group had read them; it is told once, and stays noted until somebody has made up for it.
-- uses  event
-- KEYS  gaps
--
-- Defines note_gap(group, partition, from, to). What follows a gap that is noted makes it longer.
local function note_gap(group, partition, from, to)
  local field = group .. ':' .. partition
  local noted = redis.call('HGET', k_gaps, field)
  if noted then from = string.match(noted, '^%S+') end
  redis.call('HSET', k_gaps, field, from .. ' ' .. to)
  if not noted then
    emit('cursor.gap', group, '{"group":"' .. group .. '","partition":' .. partition .. ',"from":"' .. from .. '","to":"' .. to .. '"}')
  end
end
