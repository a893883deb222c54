-- event: append a fact to the log, in the same atom as the change that made it.
-- uses  clock
-- KEYS  ev evmeta meta seam live
--
-- Wants the arguments `actor` and `meta`. Defines emit(type, subject, payload, ...) -> position, where `...` are further
-- fields of the envelope, and last_position() for an answer that changed nothing.
-- The hard cap: above EVENTS_MAX (a test store may have another) the oldest go, and evmeta names the last of them. So
-- that few events pay for the look, it is taken by those whose number within their millisecond ends in 0.
-- Under distributed delivery the event itself is published, as {position, name, value, ...} (MessagePack); that a store
-- does not let us fails nothing.
local EVENTS_MAX, CUT_SHARE, ZERO = 2000000, 2000, 48
local function emit(type, subject, payload, ...)
  local position = redis.call('XADD', k_ev, '*', 'type', type, 'subject', subject,
    'actor', actor, 'at', now_ms, 'payload', payload, 'meta', meta, ...)
  if redis.call('HGET', k_seam('events'), 'strategy') == 'distributed' then
    redis.pcall('PUBLISH', k_live, cmsgpack.pack({position, 'type', type, 'subject', subject, 'actor', actor,
      'at', string.format('%d', now_ms), 'payload', payload, 'meta', meta, ...}))
  end
  if string.byte(position, -1) ~= ZERO then return position end
  local most, length = redis.call('HGET', k_evmeta, 'max'), redis.call('XLEN', k_ev)
  most = most and redis.call('HEXISTS', k_meta, 'test') == 1 and tonumber(most) or EVENTS_MAX
  if length > most then
    local left = most - math.floor(most / CUT_SHARE)
    redis.call('XTRIM', k_ev, 'MAXLEN', left + 1)
    redis.call('HSET', k_evmeta, 'trimmed', redis.call('XRANGE', k_ev, '-', '+', 'COUNT', 1)[1][1])
    redis.call('XTRIM', k_ev, 'MAXLEN', left)
  end
  return position
end
local function last_position()
  local newest = redis.call('XREVRANGE', k_ev, '+', '-', 'COUNT', 1)[1]
  return newest and newest[1] or ''
end
