-- seam_switch: the target is in force; from now on the members start it. Nothing of the former strategy runs any more.
--
-- flags  allow-oom
-- uses  switch event
-- ARGV  given_ms actor meta seam default owner term epoch
-- Returns {position, epoch}; refuses with STALE who does not lead, with CONFLICT a seam that does not drain at this epoch,
-- or of which a live member has not stopped.
local w = read_word()
local refusal = not_at(w, 'draining') or not_all(w, 'stopped')
if refusal then return refusal end
w.phase, w.strategy = 'verifying', w.target
return {emit('pattern.switch.switched', seam, enter(w, 1)), w.epoch}
