"""Apps: commands, hooks, scripts and events that somebody else wrote, run inside this server.

An app is one or more modules, named at start (`--app`) or by the entry points `claudebench.handlers` of an installed
distribution, and at most one `OwnStore`. It is trusted: its Python runs in our process, as the operator asked. What is
kept from it is what it could break by mistake:

- Its commands are `<app>.<verb>`, `<app>.<noun>.<verb>` or `x.<app>.<verb>`. Domains and paths of ours are refused.
- Its keys lie under `cb:{workspace}:x:<app>:`; `lua` reads its scripts and refuses one that could reach another key.
- Its events are `x.<app>.*` and declared; the script that makes the change writes them, as everywhere.
- It reaches other rooms by `Context.call`, never by their stores.
- A handler that raises, overstays, ends the process or answers what it did not promise costs its caller an error, and
  nobody else anything (`calls`). One that blocks the event loop costs everybody; that is noticed and logged.

Whatever is wrong with an app is said at start, with the name of the app, and the server does not start.
"""
