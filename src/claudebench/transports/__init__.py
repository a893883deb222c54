"""The doors of a running server: JSON-RPC, commands as plain HTTP, the agents' native hooks, health, metrics, the API.

A door decodes, asks the gate, calls the dispatcher and encodes; it decides nothing.
"""
