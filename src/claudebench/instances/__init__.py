"""Who is there: servers, workers and agent sessions, heard of by store time.

    register            -> ACTIVE       instance.registered    another bootId ends the former incarnation at once
    any own command     -> ACTIVE       (a touch, no event)    from OFFLINE with a new incarnation: instance.online
    2 missed beats      -> SUSPECT      (read, not written)    a beat is deadAfterMs / 5
    deadAfterMs silent  -> OFFLINE      instance.offline       the sweep returns what it held
    unregister          -> gone         instance.unregistered  what it held is free at once

Invariants: the deadline lies in `alive`, scored by the store's clock; key expiry decides nothing. The sweep rides on
every changing script and on each server's tick, is idempotent, and never expires anyone for the store's own absence:
after a gap of 2 s, or when time ran backwards, everyone has min(5 s, deadAfterMs) to be heard of first.
"""
