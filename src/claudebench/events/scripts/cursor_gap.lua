-- cursor_gap: a reader found that what it would read next is gone.
--
-- flags  allow-oom
-- uses  gap
-- KEYS  group
-- ARGV  given_ms actor meta group partition from to
-- Returns 1, or 0 when the group was dropped meanwhile.
if redis.call('EXISTS', k_group(group, partition)) == 0 then return 0 end
note_gap(group, partition, from, to)
return 1
