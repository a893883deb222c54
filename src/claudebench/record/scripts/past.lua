-- past: numbers and positions that the record knows are not given away again, though the store has forgotten them.
--
-- flags  allow-oom
-- KEYS  ev meta
-- ARGV  ms seq counter sure
-- Returns 1 when the log was behind ms-seq and has been moved to it, else 0. Safe to repeat. A store that forgot may have
-- given out numbers that nobody recorded, so it leaves out more than it can hand out in the 2 s that it may lose; so does
-- one of which nobody can tell whether it forgot (`sure` is '').
local NONE, SKIPPED = '0-0', 100000
local last = NONE
if redis.call('EXISTS', k_ev) == 1 then
  local info = redis.call('XINFO', 'STREAM', k_ev)
  for at = 1, #info, 2 do if info[at] == 'last-generated-id' then last = info[at + 1] end end
end
local last_ms, last_seq = string.match(last, '(%d+)-(%d+)')
last_ms, last_seq, ms, seq = tonumber(last_ms), tonumber(last_seq), tonumber(ms), tonumber(seq)
local is_behind = last_ms < ms or (last_ms == ms and last_seq < seq)
local own = tonumber(redis.call('HGET', k_meta, 'seq') or 0)
local highest = math.max(own, tonumber(counter)) + ((is_behind or sure == '') and SKIPPED or 0)
if highest > own then redis.call('HSET', k_meta, 'seq', string.format('%.0f', highest)) end
if not is_behind then return 0 end
local id = string.format('%.0f-%.0f', ms, seq)
if last ~= NONE then redis.call('XSETID', k_ev, id)
else
  redis.call('XADD', k_ev, id, 'type', '')
  redis.call('XDEL', k_ev, id)
end
return 1
