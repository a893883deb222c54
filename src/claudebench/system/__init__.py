"""The server about itself: health, state, metrics, and the list of its commands.

Invariant: every value is read or measured now; what has no sample is absent, never a constant and never 0 instead.
"""
