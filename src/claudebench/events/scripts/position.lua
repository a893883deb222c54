-- position: how far the log has come, and how much was ever written to it.
--
-- KEYS  ev
-- ARGV
-- Returns {last position or '', events ever written}.
if redis.call('EXISTS', k_ev) == 0 then return {'', 0} end
local info = redis.call('XINFO', 'STREAM', k_ev)
local found = {}
for at = 1, #info, 2 do found[info[at]] = info[at + 1] end
return {found['last-generated-id'], found['entries-added'] or found['length']}
