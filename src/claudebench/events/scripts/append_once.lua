-- append_once: a fact that may be sent again is written once, however its earlier sending ended.
--
-- A connection keeps the order of what is sent on it, so the highest number that a writer (one connection of one
-- process) got through tells whether an earlier number of it did.
--
-- uses  presence sweep event
-- KEYS  sent
-- ARGV  given_ms actor meta type subject payload writer number earlier_writer earlier_number
-- Returns {position, or '' when the earlier sending had written it}.
local written = earlier_writer ~= ''
  and tonumber(redis.call('GET', k_sent(earlier_writer)) or 0) >= tonumber(earlier_number)
redis.call('SET', k_sent(writer), number, 'EX', 86400)
return {written and '' or emit(type, subject, payload)}
