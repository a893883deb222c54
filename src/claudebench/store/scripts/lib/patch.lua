-- patch: other values for the text, the priority and single keys of the metadata of a task.
-- uses  task ready refuse
-- KEYS  task held reserved ls
--
-- Defines merged(t, metadata) -> packed keys or a refusal, patch(t, priority, text, metadata) -> fields for store_task.
-- An argument is '' for "as it is". Changed keys of the metadata are kept apart, key -> JSON (msgpack), until read.
local METADATA_MAX = 65536
local function merged(t, metadata)
  if metadata == '' then return '' end
  local kept = redis.call('HGET', k_task(t.n), 'metadata')
  local all = kept and cmsgpack.unpack(kept) or {}
  for key, value in pairs(cmsgpack.unpack(metadata)) do all[key] = value end
  local packed = cmsgpack.pack(all)
  return #packed <= METADATA_MAX and packed or refuse(LIMIT, 'the metadata is full', 'reason', 'metadata', 'limit', METADATA_MAX)
end

local function reprioritise(t, priority)
  remove_ready(t)
  t.priority = tonumber(priority)
  add_ready(t)
  if t.owner ~= '' and not finished(t) then
    redis.call('ZADD', k_held(t.owner), 'XX', rank(t), t.n)
    redis.call('ZADD', k_reserved(t.owner), 'XX', rank(t), t.n)
  end
  redis.call('ZADD', k_ls(t.status, 'priority'), rank(t), t.n)
end

local function patch(t, priority, text, metadata)
  local fields = {}
  if priority ~= '' then reprioritise(t, priority) end
  if text ~= '' then fields[#fields + 1], fields[#fields + 2] = 'text', text end
  if metadata ~= '' then fields[#fields + 1], fields[#fields + 2] = 'metadata', metadata end
  return fields
end
