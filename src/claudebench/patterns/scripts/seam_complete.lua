-- seam_complete: a switch is over, since every member runs the target and has seen that it works.
--
-- flags  allow-oom
-- uses  switch event
-- ARGV  given_ms actor meta seam default owner term epoch
-- Returns {position, epoch}, the epoch as it was; refuses with STALE who does not lead, with CONFLICT a seam that does not
-- verify at this epoch, or of which a live member does not run.
local w = read_word()
local refusal = not_at(w, 'verifying') or not_all(w, 'running')
if refusal then return refusal end
w.phase = 'steady'
return {emit('pattern.switch.completed', seam, enter(w, 0)), w.epoch}
