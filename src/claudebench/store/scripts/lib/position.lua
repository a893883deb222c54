-- position: the ids of events, compared as the numbers they are made of, never as text.
--
-- Defines is_before(a, b); '' stands before all.
local function is_before(a, b)
  if a == '' or b == '' then return a == '' and b ~= '' end
  local a_ms, a_n = string.match(a, '^(%d+)-(%d+)$')
  local b_ms, b_n = string.match(b, '^(%d+)-(%d+)$')
  if a_ms ~= b_ms then return tonumber(a_ms) < tonumber(b_ms) end
  return tonumber(a_n) < tonumber(b_n)
end
