-- walk: the entries of one or several indexes as one row, in the order of score and member.
-- uses  order
--
-- Defines add_source(sources, index, descending, low, high, score, n) -> how many entries lie from low to high, and
-- next_entry(sources, descending) -> n, score, or nil at the end. It goes on behind (score, n), if n is not ''.
local CHUNK = 50
local function fetch(source, descending)
  local from = descending and math.max(source.first, source.last - CHUNK + 1) or source.first
  local to = descending and source.last or math.min(source.last, source.first + CHUNK - 1)
  local chunk = from <= to and redis.call('ZRANGE', source.index, from, to, 'WITHSCORES') or {}
  source.chunk, source.at = chunk, descending and #chunk - 1 or 1
  if descending then source.last = from - 1 else source.first = to + 1 end
  return chunk[source.at]
end

local function add_source(sources, index, descending, low, high, score, n)
  local first = redis.call('ZCOUNT', index, '-inf', '(' .. low)
  local inside = redis.call('ZCOUNT', index, low, high)
  local last = first + inside - 1
  if n ~= '' and descending then last = math.min(last, place(index, score, n, false) - 1)
  elseif n ~= '' then first = math.max(first, place(index, score, n, true)) end
  local source = {index = index, first = first, last = last}
  if fetch(source, descending) then sources[#sources + 1] = source end
  return inside
end

local function first_of(sources, descending)
  local found, found_n, found_score = 1, nil, nil
  for at, source in ipairs(sources) do
    local n, score = source.chunk[source.at], source.score or tonumber(source.chunk[source.at + 1])
    source.score = score
    local is_before = not found_n or score < found_score or (score == found_score and n < found_n)
    if not found_n or is_before ~= descending then found, found_n, found_score = at, n, score end
  end
  return found
end

local function next_entry(sources, descending)
  local at = sources[2] and first_of(sources, descending) or 1
  local source = sources[at]
  if not source then return nil end
  local n, score = source.chunk[source.at], source.chunk[source.at + 1]
  source.at, source.score = source.at + (descending and -2 or 2), nil
  if not source.chunk[source.at] and not fetch(source, descending) then table.remove(sources, at) end
  return n, score
end
