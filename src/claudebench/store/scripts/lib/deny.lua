-- deny: whom a task is kept from for a while: those who failed it, at most eight, the oldest forgotten first.
-- uses  clock
--
-- Defines deny(t, i), called before the task is free again, so that its ready and denied sets agree, and
-- is_denied(t, i), false once it was ready for DENIED_WAIT_MS. A task that was nobody's is kept from nobody.
local DENIED_MAX, DENIED_WAIT_MS = 8, 30000
local function is_denied(t, i)
  for _, denied in ipairs(t.deny) do
    if denied == i then return now_ms < t.ready_ms + DENIED_WAIT_MS end
  end
  return false
end

local function deny(t, i)
  if i == '' then return end
  for at, denied in ipairs(t.deny) do
    if denied == i then table.remove(t.deny, at) break end
  end
  t.deny[#t.deny + 1] = i
  if #t.deny > DENIED_MAX then table.remove(t.deny, 1) end
end
