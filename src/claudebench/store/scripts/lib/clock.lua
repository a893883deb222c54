-- clock: the store's own time; only a store whose meta says `test` takes another.
-- KEYS  meta
--
-- Wants the argument `given_ms` (empty in production). Defines now_ms.
local now_ms
do
  local time = redis.call('TIME')
  now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  if given_ms ~= '' and redis.call('HEXISTS', k_meta, 'test') == 1 then now_ms = tonumber(given_ms) end
end
