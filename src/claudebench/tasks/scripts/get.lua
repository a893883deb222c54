-- get: one task as it stands.
--
-- uses  refuse
-- KEYS  task meta done
-- ARGV  n
-- Returns {doc, row, result, error, text, metadata}. Of one that is gone it says so, and if it was completed.
local fields = redis.call('HMGET', k_task(n), 'doc', 'row', 'result', 'error', 'text', 'metadata')
if fields[1] then return fields end
if tonumber(n) > tonumber(redis.call('HGET', k_meta, 'seq') or 0) then
  return refuse(NOT_FOUND, 'there has been no such task', 'reason', 'unknown')
end
local completed = redis.call('GETBIT', k_done, n) == 1
return refuse(NOT_FOUND, 'the task is stored no more: it ended and was retired, or it was deleted', 'reason', 'gone',
  'status', completed and 'completed')
