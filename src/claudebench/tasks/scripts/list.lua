-- list: a page of tasks in the order of one index, those left out that a filter does not want.
--
-- uses  order
-- KEYS  task ls own
-- ARGV  index_status order owner descending low high cursor_score cursor_n limit status priority_min priority_max prefix
-- Returns {total, exact, more, score, n, doc, row, result, error, text, metadata, ...}. `score` is that of the last entry
-- looked at, and `n` its number; at most LOOK entries are looked at.
local LOOK, CHUNK, PAGE_BYTES = 500, 50, 1048576
local index = owner ~= '' and order == 'created' and k_own(owner) or k_ls(index_status, order)
local first = redis.call('ZCOUNT', index, '-inf', '(' .. low)
local inside = redis.call('ZCOUNT', index, low, high)
local last, looked, bytes = first + inside - 1, 0, 0
if cursor_n ~= '' and descending == '1' then last = math.min(last, place(index, cursor_score, cursor_n, false) - 1)
elseif cursor_n ~= '' then first = math.max(first, place(index, cursor_score, cursor_n, true)) end
local filtered = status ~= '' or prefix ~= '' or priority_min ~= '' or (owner ~= '' and order ~= 'created')
local page = {inside, filtered and 0 or 1, 0, '', ''}

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

while first <= last do
  local chunk
  if descending == '1' then chunk = redis.call('ZREVRANGE', index, redis.call('ZCARD', index) - 1 - last,
    redis.call('ZCARD', index) - 1 - math.max(first, last - CHUNK + 1), 'WITHSCORES')
  else chunk = redis.call('ZRANGE', index, first, math.min(last, first + CHUNK - 1), 'WITHSCORES') end
  for at = 1, #chunk, 2 do
    if is_full() then
      page[3] = 1
      return page
    end
    look(chunk[at], chunk[at + 1])
  end
  if descending == '1' then last = last - #chunk / 2 else first = first + #chunk / 2 end
end
return page
