"""A handler is declared once and reached through every door.

`command` declares, `registry` binds declarations to the stores they ask for, `envelope` is JSON-RPC 2.0 and its
metadata, `context` is what a handler may do besides, `dispatcher` is the one way in; `issues` says what did not fit,
`openrpc` describes them all, with the `examples` of the rooms.
"""
