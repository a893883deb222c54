-- epoch: whether what was taken under an epoch of a seam counts no more, since another strategy is in force.
-- KEYS  seam
--
-- Defines is_outdated(seam, epoch). No epoch is never outdated. While a strategy is drained, what it holds still counts.
local function is_outdated(seam, epoch)
  if not epoch or epoch == '' then return false end
  local word = redis.call('HMGET', k_seam(seam), 'epoch', 'phase')
  local ending = (word[2] == 'draining' or word[2] == 'undoing') and 1 or 0
  return tonumber(epoch) < tonumber(word[1] or 0) - ending
end
