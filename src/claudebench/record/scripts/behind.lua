-- behind: what the log holds behind a position, that position first if the log still has it.
--
-- KEYS  ev evmeta
-- ARGV  after limit
-- Returns {trimmed, id of the newest entry, entries}; it stops early once it holds 1 MiB. '' is before all.
local BYTES_MAX, CHUNK = 1048576, 64
local found, bytes, from, left = {}, 0, after == '' and '-' or after, tonumber(limit) + 1
while left > 0 and bytes < BYTES_MAX do
  local chunk = redis.call('XRANGE', k_ev, from, '+', 'COUNT', math.min(CHUNK, left))
  for at, entry in ipairs(chunk) do
    found[#found + 1] = entry
    for _, text in ipairs(entry[2]) do bytes = bytes + #text end
  end
  if #chunk < CHUNK then break end
  from, left = '(' .. chunk[#chunk][1], left - #chunk
end
local newest = redis.call('XREVRANGE', k_ev, '+', '-', 'COUNT', 1)[1]
return {redis.call('HGET', k_evmeta, 'trimmed') or '', newest and newest[1] or '', found}
