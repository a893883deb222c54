-- dead_list: a page of the dead letters of a group, those first that died first.
--
-- uses  order
-- KEYS  letters letterage
-- ARGV  group at id limit
-- Returns {1 when more follow, id, ms at which it died, letter, ...} behind the letter `id` that died `at`, '' for none.
-- A page ends early once it holds BYTES_MAX.
local BYTES_MAX = 1000000
local from = id == '' and 0 or place(k_letterage(group), at, id, true)
local ids = redis.call('ZRANGE', k_letterage(group), from, from + limit - 1, 'WITHSCORES')
local answer, bytes = {redis.call('ZCARD', k_letterage(group)) > from + limit and 1 or 0}, 0
for place_ = 1, #ids, 2 do
  local letter = redis.call('HGET', k_letters(group), ids[place_])
  bytes = bytes + #letter
  if bytes > BYTES_MAX and #answer > 1 then
    answer[1] = 1
    break
  end
  answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = ids[place_], ids[place_ + 1], letter
end
return answer
