-- dead_drop: dead letters are gone.
--
-- flags  allow-oom
-- uses  presence sweep event letters
-- KEYS
-- ARGV  given_ms actor meta group id upto
-- Returns {position, how many, upto, how many are left up to there}; refuses with NOT_FOUND an id that is no dead letter.
-- Without an id the oldest STEP that died up to the time `upto` ('' for now).
local found, refusal = found_letters(group, id)
if refusal then return refusal end
for _, each in ipairs(found) do remove_letter(group, each) end
local at = #found > 0 and emit('event.dead_dropped', group, told_letters(group, id, #found)) or last_position()
return {at, #found, tonumber(upto), left_letters(group)}
