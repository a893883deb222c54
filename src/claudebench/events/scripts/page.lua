-- page: the log in its order, from behind a position; it stops early once it holds 1 MiB.
--
-- KEYS  ev
-- ARGV  after limit
-- Returns {1 when more may follow, the entries as XRANGE answers them}.
local BYTES_MAX, CHUNK = 1048576, 16
local found, bytes, from = {}, 0, after == '' and '-' or '(' .. after
while #found < tonumber(limit) and bytes < BYTES_MAX do
  local chunk = redis.call('XRANGE', k_ev, from, '+', 'COUNT', math.min(CHUNK, limit - #found))
  if #chunk == 0 then return {0, found} end
  for _, entry in ipairs(chunk) do
    found[#found + 1] = entry
    for _, text in ipairs(entry[2]) do bytes = bytes + #text end
  end
  from = '(' .. chunk[#chunk][1]
end
return {1, found}
