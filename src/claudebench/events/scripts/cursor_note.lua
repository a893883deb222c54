-- cursor_note: how far a reader is whose position lives elsewhere, such as in the database it writes.
--
-- flags  allow-oom
-- uses  note
-- KEYS
-- ARGV  group holder term position
-- Returns 1; refuses with STALE who reads under an older term than another did.
return note_position(group, holder, term, position) or 1
