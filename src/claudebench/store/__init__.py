"""The store: Redis or Valkey is the state, a Lua script is a transition.

`server` runs the embedded engine, `connection` multiplexes every call over one socket, `script` loads and checks the
Lua files, `keys` spells every key. Nothing above this floor knows the Redis protocol, and nothing here knows a room.

Invariants: one call is one script is one atomic change with its event; every key of a call lies in the slot of its
workspace; what was handed to the socket and not answered is reported as `unknown`, everything else as `not_done`.
"""
