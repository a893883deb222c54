"""Hooks: what stands between an agent and the tool it wants to use.

A tool call goes through the chain (`chain.py`): links in the order of their priority, each sees the rewrite of the one
before, each has its own timeout and fail mode. The guard (`guard.py`) is the first link and needs no event loop.

    call -> guard -> hook -> hook ... -> decision
             |
             shell/     the command line, as the simple commands that it would run, and why that is not certain
             paths.py   where a word points: root, home, system, device, credentials ...
             masking.py  what a reason may not show: the values of obvious secrets
             rules.py   rules as data (rulesets/builtin.toml); index.py finds them, matching.py fits them

A decision is one of four, and the strictest wins: deny > ask > rewrite > allow. Warnings ride on any of them.

Invariants:
- A command line is judged by its tree, never as text. What the tree does not prove is *ask*, never allow.
- Every command is judged, wherever it stands: in a substitution, behind `sudo`, in `bash -c`, in a heredoc for a shell.
- A rewrite is judged again before it leaves.
- The guard's own trouble (an exception, a parameter of the wrong type) denies. It never allows.
- A link that times out or fails decides by its fail mode; a later deny beats an earlier ask.
"""
