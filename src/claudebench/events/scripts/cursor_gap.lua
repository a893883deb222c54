-- cursor_gap: a reader found that what it would read next is gone.
--
-- flags  allow-oom
-- uses  gap
-- ARGV  given_ms actor meta group partition from to
-- Returns 1.
note_gap(group, partition, from, to)
return 1
