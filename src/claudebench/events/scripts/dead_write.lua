-- dead_write: an event that a group gave up on is a dead letter, told, and marked as processed, in one step.
--
-- flags  allow-oom
-- uses  processed event
-- KEYS  letters letterage lettermeta
-- ARGV  given_ms actor meta group partition holder fence position id letter told
-- Returns {position, 1}, or {'', 0} when it was processed already; refuses with STALE who lost the partition.
-- `holder` is '' where nothing is marked, `told` is '' for a death that is not told. At most LETTERS_MAX letters are
-- kept: the oldest go, are counted, and that is told at most once in TOLD_EVERY_MS.
local LETTERS_MAX, TOLD_EVERY_MS = 10000, 60000
if holder ~= '' then
  local refusal = not_holding(group, partition, holder, fence)
  if refusal then return refusal end
  if is_processed(group, partition, position) then return {'', 0} end
  mark_processed(group, partition, position)
end
redis.call('HSET', k_letters(group), id, partition .. ' ' .. letter)
redis.call('ZADD', k_letterage(group), now_ms, id)
local at = told ~= '' and emit('event.dead', group, told, 'partitionKey', id) or ''
local over = redis.call('ZCARD', k_letterage(group)) - LETTERS_MAX
if over > 0 then
  local oldest = redis.call('ZPOPMIN', k_letterage(group), over)
  for place = 1, #oldest, 2 do redis.call('HDEL', k_letters(group), oldest[place]) end
  redis.call('HINCRBY', k_lettermeta(group), 'dropped', over)
  local untold = redis.call('HINCRBY', k_lettermeta(group), 'untold', over)
  local told_ms = tonumber(redis.call('HGET', k_lettermeta(group), 'toldMs') or 0)
  if now_ms - told_ms >= TOLD_EVERY_MS or now_ms < told_ms then
    redis.call('HSET', k_lettermeta(group), 'untold', 0, 'toldMs', now_ms)
    emit('event.dead_dropped', group, '{"group":"' .. group .. '","count":' .. untold .. ',"reason":"full"}')
  end
end
return {at, 1}
