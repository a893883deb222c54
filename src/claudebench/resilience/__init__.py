"""Resilience declared as data on each command: rate limit, breaker, time-out, cache, in one fixed order."""
