-- past: numbers and positions that the record knows are not given away again, though the store has forgotten them.
--
-- flags  allow-oom
-- KEYS  ev meta
-- ARGV  ms seq counter
-- Returns 1 when the log was behind ms-seq and has been moved to it, else 0. Safe to repeat.
local NONE = '0-0'
local last = NONE
if redis.call('EXISTS', k_ev) == 1 then
  local info = redis.call('XINFO', 'STREAM', k_ev)
  for at = 1, #info, 2 do if info[at] == 'last-generated-id' then last = info[at + 1] end end
end
if tonumber(redis.call('HGET', k_meta, 'seq') or 0) < tonumber(counter) then redis.call('HSET', k_meta, 'seq', counter) end
local last_ms, last_seq = string.match(last, '(%d+)-(%d+)')
last_ms, last_seq, ms, seq = tonumber(last_ms), tonumber(last_seq), tonumber(ms), tonumber(seq)
if last_ms > ms or (last_ms == ms and last_seq >= seq) then return 0 end
local id = string.format('%.0f-%.0f', ms, seq)
if last ~= NONE then redis.call('XSETID', k_ev, id)
else
  redis.call('XADD', k_ev, id, 'type', '')
  redis.call('XDEL', k_ev, id)
end
return 1
