-- span: from where to where the log reaches.
--
-- KEYS  ev evmeta
-- ARGV
-- Returns {highest id ever cut from it or '', last position or ''}.
local trimmed = redis.call('HGET', k_evmeta, 'trimmed') or ''
if redis.call('EXISTS', k_ev) == 0 then return {trimmed, ''} end
local info = redis.call('XINFO', 'STREAM', k_ev)
for at = 1, #info, 2 do
  if info[at] == 'last-generated-id' then return {trimmed, info[at + 1]} end
end
