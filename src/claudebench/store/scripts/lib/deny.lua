-- deny: whom a task is kept from for a while: those who failed it, at most eight, the oldest forgotten first.
--
-- Defines deny(t, i); a task that was nobody's is kept from nobody. Called before the task is free again, so that its
-- ready and denied sets agree.
local DENIED_MAX = 8
local function deny(t, i)
  if i == '' then return end
  for at, denied in ipairs(t.deny) do
    if denied == i then table.remove(t.deny, at) break end
  end
  t.deny[#t.deny + 1] = i
  if #t.deny > DENIED_MAX then table.remove(t.deny, 1) end
end
