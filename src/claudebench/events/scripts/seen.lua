-- seen: what became of the log since a reader was at a position.
--
-- KEYS  ev evmeta
-- ARGV  position
-- Returns {highest position that was ever cut or '', last position or '', position of the newest event up to there or ''}.
if redis.call('EXISTS', k_ev) == 0 then return {redis.call('HGET', k_evmeta, 'trimmed') or '', '', ''} end
local info = redis.call('XINFO', 'STREAM', k_ev)
local last
for at = 1, #info, 2 do if info[at] == 'last-generated-id' then last = info[at + 1] end end
local newest = position ~= '' and redis.call('XREVRANGE', k_ev, position, '-', 'COUNT', 1)[1]
return {redis.call('HGET', k_evmeta, 'trimmed') or '', last, newest and newest[1] or ''}
