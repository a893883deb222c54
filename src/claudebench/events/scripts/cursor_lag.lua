-- cursor_lag: where a group stands in each partition, and how much of the log is still before it.
--
-- uses  clock position
-- KEYS  ev groups group gaps
-- ARGV  given_ms group
-- Returns {1 when all was counted, partition, position, holder, fence, ms of its lease left, events behind, ms since
-- the first of them or 0, gap 'from to' or '', ...}. At most LOOKS_MAX events, or BYTES_MAX, are looked at,
-- from the last cursor on.
local LOOKS_MAX, BYTES_MAX, CHUNK, PAYLOAD = 1000, 4194304, 50, 10
local cursors, lowest = {}, nil
for partition = 0, math.max(1, redis.call('HGET', k_groups, group) or 0) - 1 do
  local kept = redis.call('HMGET', k_group(group, partition), 'pos', 'holder', 'fence', 'untilMs')
  if kept[1] then
    local left_ms = kept[2] ~= '' and math.max(0, (kept[4] or 0) - now_ms) or 0
    local gap = redis.call('HGET', k_gaps, group .. ':' .. partition) or ''
    cursors[#cursors + 1] = {partition, kept[1], kept[2], tonumber(kept[3]), left_ms, 0, 0, gap}
    if not lowest or is_before(kept[1], lowest) then lowest = kept[1] end
  end
end
table.sort(cursors, function(one, other) return is_before(one[2], other[2]) end)
local looks, bytes, passed, from, is_whole = 0, 0, 0, lowest, 1
while lowest and is_whole == 1 do
  local chunk = redis.call('XRANGE', k_ev, from == '' and '-' or '(' .. from, '+', 'COUNT', CHUNK)
  for _, entry in ipairs(chunk) do
    looks, bytes, from = looks + 1, bytes + #entry[2][PAYLOAD], entry[1]
    while passed < #cursors and is_before(cursors[passed + 1][2], from) do
      passed = passed + 1
      cursors[passed][6], cursors[passed][7] = looks, math.max(0, now_ms - string.match(from, '^%d+'))
    end
  end
  if #chunk < CHUNK then break end
  is_whole = looks < LOOKS_MAX and bytes < BYTES_MAX and 1 or 0
end
for at = 1, passed do cursors[at][6] = looks - cursors[at][6] + 1 end
table.sort(cursors, function(one, other) return one[1] < other[1] end)
local answer = {is_whole}
for _, cursor in ipairs(cursors) do
  for _, value in ipairs(cursor) do answer[#answer + 1] = value end
end
return answer
