-- list: a page of tasks in an order, those left out that a filter does not want.
--
-- uses  walk
-- KEYS  task ls own
-- ARGV  statuses order owner descending low high cursor_score cursor_n limit status priority_min priority_max prefix
-- Returns {total, exact, more, score, n, doc, row, result, error, text, metadata, ...}. `score` is that of the last entry
-- looked at, and `n` its number; at most LOOK entries are looked at. The indexes of all `statuses` are walked as one.
local LOOK, PAGE_BYTES = 500, 1048576
local filtered = status ~= '' or prefix ~= '' or priority_min ~= '' or (owner ~= '' and order ~= 'created')
local page, looked, bytes, sources = {0, filtered and 0 or 1, 0, '', ''}, 0, 0, {}

local function open(index)
  page[1] = page[1] + add_source(sources, index, descending == '1', low, high, cursor_score, cursor_n)
end

if owner ~= '' and order == 'created' then open(k_own(owner))
else for each in string.gmatch(statuses, '%S+') do open(k_ls(each, order)) end end

local function wanted(fields)
  if not filtered then return true end
  local r, text = cmsgpack.unpack(fields[2]), fields[5] or string.sub(fields[1], 9)
  return (status == '' or r[1] == status) and (owner == '' or r[3] == owner)
    and (priority_min == '' or (r[2] >= tonumber(priority_min) and r[2] <= tonumber(priority_max)))
    and (prefix == '' or string.sub(text, 1, #prefix) == prefix)
end

local function look(n, score)
  local fields = redis.call('HMGET', k_task(n), 'doc', 'row', 'result', 'error', 'text', 'metadata')
  looked, page[4], page[5] = looked + 1, score, n
  if not fields[1] or not wanted(fields) then return end
  page[#page + 1] = n
  for at = 1, 6 do
    page[#page + 1] = fields[at]
    bytes = bytes + (fields[at] and #fields[at] or 0)
  end
end

local function is_full() return (#page - 5) / 7 >= tonumber(limit) or looked >= LOOK or bytes > PAGE_BYTES end

local n, score = next_entry(sources, descending == '1')
while n do
  if is_full() then
    page[3] = 1
    break
  end
  look(n, score)
  n, score = next_entry(sources, descending == '1')
end
return page
