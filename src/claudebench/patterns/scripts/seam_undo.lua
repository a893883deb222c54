-- seam_undo: the former strategy is in force again, since nothing of the target runs any more.
--
-- flags  allow-oom
-- uses  switch event
-- ARGV  given_ms actor meta seam default owner term epoch
-- Returns {position, epoch}; refuses with STALE who does not lead, with CONFLICT a seam that is not being undone at this
-- epoch, or of which a live member has not stopped.
local w = read_word()
local refusal = not_at(w, 'undoing') or not_all(w, 'stopped')
if refusal then return refusal end
w.phase, w.strategy = 'steady', w.former
return {emit('pattern.switch.rolled_back', seam, enter(w, 1)), w.epoch}
