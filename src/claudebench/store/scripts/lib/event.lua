-- event: append a fact to the log, in the same atom as the change that made it.
-- uses  clock
-- KEYS  ev
--
-- Wants the arguments `actor` and `meta`. Defines emit(type, subject, payload) -> position, last_position()
-- for an answer that changed nothing, and EVENTS_MAX, the hard cap of the log.
local EVENTS_MAX = 2000000
local function emit(type, subject, payload)
  return redis.call('XADD', k_ev, 'MAXLEN', '~', EVENTS_MAX, '*', 'type', type, 'subject', subject,
    'actor', actor, 'at', now_ms, 'payload', payload, 'meta', meta)
end
local function last_position()
  local newest = redis.call('XREVRANGE', k_ev, '+', '-', 'COUNT', 1)[1]
  return newest and newest[1] or ''
end
