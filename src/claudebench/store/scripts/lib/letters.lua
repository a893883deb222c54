-- letters: the dead letters of a group, one by its id, or the oldest of them, a step at a time.
-- uses  refuse event
-- KEYS  letters letterage
--
-- Wants the argument `upto`. Defines found_letters(group, id) -> ids, or nil and a refusal; remove_letter(group, id);
-- told_letters(group, id, count) -> the payload that tells of them; left_letters(group) -> how many died up to `upto`.
local STEP = 100
if upto == '' then upto = now_ms end
local function found_letters(group, id)
  if id == '' then return redis.call('ZRANGEBYSCORE', k_letterage(group), '-inf', upto, 'LIMIT', 0, STEP) end
  if redis.call('HEXISTS', k_letters(group), id) == 1 then return {id} end
  return nil, refuse(NOT_FOUND, 'this event is no dead letter of the group', 'group', group, 'id', id)
end

local function remove_letter(group, id)
  redis.call('HDEL', k_letters(group), id)
  redis.call('ZREM', k_letterage(group), id)
end

local function told_letters(group, id, count)
  local one = id ~= '' and ',"id":"' .. id .. '"' or ''
  return '{"group":"' .. group .. '","count":' .. count .. ',"reason":"operator"' .. one .. '}'
end

local function left_letters(group)
  return redis.call('ZCOUNT', k_letterage(group), '-inf', upto)
end
