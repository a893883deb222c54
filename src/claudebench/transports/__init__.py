"""The doors of a running server: HTTP carries JSON-RPC, the agents' native hooks, health and metrics.

A door decodes, asks the gate, calls the dispatcher and encodes; it decides nothing.
"""
