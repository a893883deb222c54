-- walk: the entries of one or several indexes as one row, in the order of score and member.
-- uses  order
--
-- Defines open_index(index, descending, low, high, score, n) -> source, how many entries lie from low to high; and
-- next_entry(sources, descending) -> n, score, or nil at the end. It goes on behind (score, n), if n is not ''.
local CHUNK = 50
local function open_index(index, descending, low, high, score, n)
  local first = redis.call('ZCOUNT', index, '-inf', '(' .. low)
  local inside = redis.call('ZCOUNT', index, low, high)
  local last = first + inside - 1
  if n ~= '' and descending then last = math.min(last, place(index, score, n, false) - 1)
  elseif n ~= '' then first = math.max(first, place(index, score, n, true)) end
  return {index = index, first = first, last = last, chunk = {}, at = 1}, inside
end

local function advance(source, descending)
  source.at = source.at + (descending and -2 or 2)
  if not source.chunk[source.at] then
    local from = descending and math.max(source.first, source.last - CHUNK + 1) or source.first
    local to = descending and source.last or math.min(source.last, source.first + CHUNK - 1)
    source.chunk = from <= to and redis.call('ZRANGE', source.index, from, to, 'WITHSCORES') or {}
    source.at = descending and #source.chunk - 1 or 1
    if descending then source.last = from - 1 else source.first = to + 1 end
  end
  source.score = tonumber(source.chunk[source.at + 1])
end

local function is_before(a, b)
  if a.score ~= b.score then return a.score < b.score end
  return a.chunk[a.at] < b.chunk[b.at]
end

local function next_entry(sources, descending)
  local head
  for _, source in ipairs(sources) do
    if not source.score then advance(source, descending) end
    if source.score and (not head or is_before(source, head) ~= descending) then head = source end
  end
  if not head then return nil end
  local n, score = head.chunk[head.at], head.chunk[head.at + 1]
  head.score = nil
  return n, score
end
