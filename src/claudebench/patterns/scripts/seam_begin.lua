-- seam_begin: a switch to another strategy begins; from now on the members end what runs.
--
-- uses  presence sweep switch event
-- ARGV  given_ms actor meta seam default owner term epoch target
-- Returns {position, epoch}; refuses with STALE who does not lead, with CONFLICT a seam that is not steady at this epoch,
-- or whose strategy is the target already.
local w = read_word()
local refusal = not_at(w, 'steady')
if refusal then return refusal end
if target == w.strategy then return refuse(CONFLICT, target .. ' is in force already', 'reason', 'in force') end
w.phase, w.target, w.former, w.reason = 'draining', target, w.strategy, ''
return {emit('pattern.switch.started', seam, enter(w, 1)), w.epoch}
