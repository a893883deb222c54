-- once: a change that carries a key happens once; whoever repeats it gets the reply of the first time, for a day.
-- needs  clock
-- uses  refuse
-- KEYS  idem idemage
--
-- Wants `once_key` and `fingerprint`. Defines kept_reply() -> reply or nil, and keep_reply(reply) -> reply. Refusals are
-- not kept, nor replies over REPLY_BYTES: then a repetition is told that it was done. Two expired keys go with each new.
local KEYS_MAX, REPLY_BYTES, KEPT_MS = 1000000, 4096, 86400000
local function kept_reply()
  local kept = redis.call('HGET', k_idem, once_key)
  if kept then
    local print, reply, until_ms = unpack(cmsgpack.unpack(kept))
    local is_over = until_ms and until_ms <= now_ms
    if not is_over and print ~= fingerprint then
      return refuse(CONFLICT, 'this idempotency key was used for another call', 'reason', 'key')
    elseif not is_over then
      return reply or refuse(CONFLICT, 'this call was done already; its answer was too long to be kept', 'outcome', 'done')
    end
  end
  for _, key in ipairs(redis.call('ZRANGEBYSCORE', k_idemage, '-inf', now_ms, 'LIMIT', 0, 2)) do
    redis.call('HDEL', k_idem, key)
    redis.call('ZREM', k_idemage, key)
  end
  if redis.call('ZCARD', k_idemage) >= KEYS_MAX then
    return refuse(LIMIT, 'too many idempotency keys are remembered', 'reason', 'keys', 'limit', KEYS_MAX)
  end
end

local function keep_reply(reply)
  local refusal = tonumber(reply[1])
  if refusal and refusal < 0 then return reply end
  local until_ms = now_ms + KEPT_MS
  local kept = cmsgpack.pack({fingerprint, reply, until_ms})
  if #kept > REPLY_BYTES then kept = cmsgpack.pack({fingerprint, false, until_ms}) end
  redis.call('HSET', k_idem, once_key, kept)
  redis.call('ZADD', k_idemage, until_ms, once_key)
  return reply
end
