-- cursor_drop: a group reads no more; nothing is kept for it, and its holders are refused.
--
-- flags  allow-oom
-- uses  group
-- KEYS
-- ARGV  group
-- Returns 1 if there was such a group, else 0.
return end_group(group)
