-- seam_give_up: a switch is not to be: what drained goes on as before, what was started is stopped first.
--
-- flags  allow-oom
-- uses  switch event
-- ARGV  given_ms actor meta seam default owner term epoch reason
-- Returns {position, epoch}; refuses with STALE who does not lead, with CONFLICT a seam that neither drains nor verifies
-- at this epoch.
local w = read_word()
local drains = w.phase == 'draining'
local refusal = not_at(w, drains and 'draining' or 'verifying')
if refusal then return refusal end
w.phase, w.reason = drains and 'steady' or 'undoing', reason
return {emit(drains and 'pattern.switch.rolled_back' or 'pattern.switch.undoing', seam, enter(w, 1)), w.epoch}
