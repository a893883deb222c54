-- rows: tasks by their numbers, and the position as of which they stand so; what the record is compared with.
--
-- KEYS  task ev evmeta meta
-- ARGV  from limit
-- Returns {position, highest number ever, number to go on from or 0, n, doc, row, result, error, text, metadata, ...}.
local BYTES_MAX = 1048576
local last, bytes, at = tonumber(redis.call('HGET', k_meta, 'seq') or 0), 0, tonumber(from)
local newest = redis.call('XREVRANGE', k_ev, '+', '-', 'COUNT', 1)[1]
local reply = {newest and newest[1] or redis.call('HGET', k_evmeta, 'trimmed') or '', last, 0}
local stop = math.min(last, at + limit - 1)
while at <= stop and bytes < BYTES_MAX do
  local fields = redis.call('HMGET', k_task(at), 'doc', 'row', 'result', 'error', 'text', 'metadata')
  if fields[1] then
    reply[#reply + 1] = at
    for each = 1, 6 do
      reply[#reply + 1] = fields[each]
      bytes = bytes + (fields[each] and #fields[each] or 0)
    end
  end
  at = at + 1
end
reply[3] = at <= last and at or 0
return reply
