-- seen: what became of the log since a reader was at a position.
--
-- KEYS  ev evmeta
-- ARGV  position
-- Returns {highest position that was ever cut or '', last position or '', 1 when the event at `position` is there}.
if redis.call('EXISTS', k_ev) == 0 then return {redis.call('HGET', k_evmeta, 'trimmed') or '', '', 0} end
local info = redis.call('XINFO', 'STREAM', k_ev)
local last
for at = 1, #info, 2 do if info[at] == 'last-generated-id' then last = info[at + 1] end end
local there = position ~= '' and redis.call('XRANGE', k_ev, position, position)[1]
return {redis.call('HGET', k_evmeta, 'trimmed') or '', last, there and 1 or 0}
