-- order: where a page of an index begins, by the score and the member of the last entry of the page before.
--
-- Defines place(index, score, member, behind) -> the ascending rank of the first entry that is not before, or, with
-- `behind`, that is behind (score, member). Entries of one score stand in the order of their members; O(log n).
local function place(index, score, member, behind)
  local low = redis.call('ZCOUNT', index, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', index, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = redis.call('ZRANGE', index, middle, middle)[1]
    if found < member or (behind and found == member) then low = middle + 1 else high = middle end
  end
  return low
end
