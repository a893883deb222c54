-- dead_retry: dead letters are to be delivered once more, each exactly once for each time that somebody asks.
--
-- uses  presence sweep event letters
-- KEYS  letters lettermeta retrying retries
-- ARGV  given_ms actor meta group id upto
-- Returns {position, how many, upto, how many are left up to there}; refuses with NOT_FOUND an id that is no dead letter,
-- with LIMIT when RETRYING_MAX wait already. Without an id the oldest STEP that died up to the time `upto` ('' for now).
local RETRYING_MAX = 10000
local found, refusal = found_letters(group, id)
if refusal then return refusal end
if redis.call('HLEN', k_retrying(group)) + #found > RETRYING_MAX then
  return refuse(LIMIT, 'too many retries wait already', 'reason', 'retries', 'limit', RETRYING_MAX)
end
for _, each in ipairs(found) do
  local letter = redis.call('HGET', k_letters(group), each)
  local seq = redis.call('HINCRBY', k_lettermeta(group), 'seq', 1)
  local position, partition = each .. '!' .. seq, string.match(letter, '^%d+')
  redis.call('HSET', k_retrying(group), position, letter)
  redis.call('ZADD', k_retries(group, partition), seq, position)
  remove_letter(group, each)
end
local at = #found > 0 and emit('event.dead_retried', group, told_letters(group, id, #found)) or last_position()
return {at, #found, tonumber(upto), left_letters(group)}
