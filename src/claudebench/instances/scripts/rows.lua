-- rows: every instance that the store knows, and the position as of which they stand so.
--
-- KEYS  alive offline inst ev evmeta
-- ARGV  limit
-- Returns {position, i, incarnation, doc, offline since or nil, ...}: those heard of, then those that are OFFLINE.
local newest = redis.call('XREVRANGE', k_ev, '+', '-', 'COUNT', 1)[1]
local reply = {newest and newest[1] or redis.call('HGET', k_evmeta, 'trimmed') or ''}
local seen = {}
for _, index in ipairs({k_alive, k_offline}) do
  for _, i in ipairs(redis.call('ZRANGE', index, 0, limit - 1)) do
    local kept = redis.call('HMGET', k_inst(i), 'incarnation', 'doc', 'offline')
    if kept[2] and not seen[i] then
      seen[i] = true
      for _, value in ipairs({i, kept[1], kept[2], kept[3] or ''}) do reply[#reply + 1] = value end
    end
  end
end
return reply
