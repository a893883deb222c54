-- page: the log in its order, from behind a position: what is of some types and about one subject, or all of it.
--
-- KEYS  ev evmeta
-- ARGV  after limit subject ...
-- Returns {1 when more may follow, highest id ever cut or '', the last id looked at, the entries as XRANGE answers them}.
-- `...` are types, or beginnings of types that end in `*`; none means all. It stops once it has looked at 1 MiB or, with
-- a filter, at about LOOKS_MAX entries.
local BYTES_MAX, CHUNK, LOOKS_MAX = 1048576, 16, 1000
local exact, prefixes, first_type = {}, {}, 4
for at = first_type, #ARGV do
  if string.sub(ARGV[at], -1) == '*' then prefixes[#prefixes + 1] = string.sub(ARGV[at], 1, -2)
  else exact[ARGV[at]] = true end
end

local function wanted(type)
  if not ARGV[first_type] or exact[type] then return true end
  for _, prefix in ipairs(prefixes) do
    if string.sub(type, 1, #prefix) == prefix then return true end
  end
  return false
end

local trimmed = redis.call('HGET', k_evmeta, 'trimmed') or ''
local filters = ARGV[first_type] or subject ~= ''
local found, bytes, looks, last = {}, 0, 0, after
while #found < tonumber(limit) and bytes < BYTES_MAX and looks < LOOKS_MAX do
  local from, count = last == '' and '-' or '(' .. last, filters and CHUNK or math.min(CHUNK, limit - #found)
  local chunk = redis.call('XRANGE', k_ev, from, '+', 'COUNT', count)
  if #chunk == 0 then return {0, trimmed, last, found} end
  for _, entry in ipairs(chunk) do
    if #found == tonumber(limit) then break end
    if wanted(entry[2][2]) and (subject == '' or entry[2][4] == subject) then found[#found + 1] = entry end
    for _, text in ipairs(entry[2]) do bytes = bytes + #text end
    looks, last = looks + 1, entry[1]
  end
end
return {1, trimmed, last, found}
