-- cursor_lag: where a group stands in each partition, and how much of the log is still before it.
--
-- uses  clock position
-- KEYS  ev groups group gaps
-- ARGV  given_ms group
-- Returns {1 when all was counted, partition, position, holder, fence, ms of its lease left, events behind, ms since
-- the first of them or 0, gap 'from to' or '', ...}. At most LOOKS_MAX events are looked at, from the last cursor on.
local LOOKS_MAX, CHUNK = 1000, 50
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
local looks, from, is_whole = 0, lowest, 1
while lowest and looks < LOOKS_MAX do
  local chunk = redis.call('XRANGE', k_ev, '(' .. from, '+', 'COUNT', CHUNK)
  for _, entry in ipairs(chunk) do
    local id = entry[1]
    for _, cursor in ipairs(cursors) do
      if is_before(cursor[2], id) then
        cursor[6] = cursor[6] + 1
        if cursor[6] == 1 then cursor[7] = math.max(0, now_ms - string.match(id, '^%d+')) end
      end
    end
  end
  looks = looks + #chunk
  if #chunk < CHUNK then break end
  from, is_whole = chunk[#chunk][1], looks < LOOKS_MAX and 1 or 0
end
local answer = {is_whole}
for _, cursor in ipairs(cursors) do
  for _, value in ipairs(cursor) do answer[#answer + 1] = value end
end
return answer
