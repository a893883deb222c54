-- roles: what an instance can take.
-- KEYS  inst held
--
-- Defines able(i) -> {roles, capacity, offline} or nil, covers(roles, sig), has_room(i, able).
local function able(i)
  local record = redis.call('HMGET', k_inst(i), 'roles', 'capacity', 'offline')
  return record[1] and {roles = record[1], capacity = tonumber(record[2]), offline = record[3]} or nil
end

local function covers(roles, sig)
  for role in string.gmatch(sig, '[^,]+') do
    if not string.find(roles, ',' .. role .. ',', 1, true) then return false end
  end
  return true
end

local function has_room(i, limits) return redis.call('ZCARD', k_held(i)) < limits.capacity end
