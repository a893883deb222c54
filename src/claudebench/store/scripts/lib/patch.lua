-- patch: other values for the text, the priority and single keys of the metadata of a task.
-- uses  task ready refuse
-- KEYS  task held reserved ls
--
-- Defines merged(t, metadata) -> packed keys or a refusal, other_text(t, text), other_priority(t, priority), patch(t,
-- priority, text, metadata) -> fields for store_task. '' is "as it is", also for what was set before to the same value.
-- Changed keys of the metadata are kept apart, key -> JSON (msgpack), until read.
local METADATA_MAX = 65536
local function merged(t, metadata)
  if metadata == '' then return '' end
  local kept = redis.call('HGET', k_task(t.n), 'metadata')
  local all, differs = kept and cmsgpack.unpack(kept) or {}, false
  for key, value in pairs(cmsgpack.unpack(metadata)) do
    differs = differs or all[key] ~= value
    all[key] = value
  end
  if not differs then return '' end
  local packed = cmsgpack.pack(all)
  return #packed <= METADATA_MAX and packed or refuse(LIMIT, 'the metadata is full', 'reason', 'metadata', 'limit', METADATA_MAX)
end

local function other_text(t, text)
  local kept, doc = unpack(redis.call('HMGET', k_task(t.n), 'text', 'doc'))
  local same = kept and kept == text or not kept and doc:sub(1, #text + 8) == '{"text":' .. text
  return same and '' or text
end

local function other_priority(t, priority) return tonumber(priority) == t.priority and '' or priority end

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
