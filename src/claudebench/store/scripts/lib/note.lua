-- note: a reader whose position lives elsewhere tells how far it is, so that nothing is trimmed that it has yet to read.
-- uses  refuse
-- KEYS  groups group
--
-- Defines note_position(group, holder, term, position) -> refusal or nil. The first note registers the group, with 0
-- partitions: its one position stands under partition 0. The term is that of the lease under which it reads.
local function note_position(group, holder, term, position)
  local current = tonumber(redis.call('HGET', k_group(group, 0), 'fence') or 0)
  if current > tonumber(term) then return refuse(STALE, 'another reads for this group since this term', 'current', current) end
  redis.call('HSETNX', k_groups, group, 0)
  redis.call('HSET', k_group(group, 0), 'pos', position, 'holder', holder, 'fence', term)
end
