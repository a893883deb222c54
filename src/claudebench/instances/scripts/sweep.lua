-- sweep: the tick of every server; what every changing script also does on its way.
--
-- uses  sweep
-- ARGV  given_ms actor meta
-- Returns nothing.
sweep()
