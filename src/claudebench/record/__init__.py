"""The record: what the log tells, kept in SQL for longer than the store keeps it.

The log is the only source. One server of the fleet, the holder of the role `projector`, reads it from behind the
position that the record itself holds, and writes each batch in one transaction: the events, what the rooms make of
them, the new position. So the record is a state that the ledger once had, at every moment and after every crash; how
far it lies behind is its lag.

    pending -> read -> written -> noted      a batch: its position moves in the transaction that writes it

Invariants: a batch is written by whoever moves the position from where the batch begins, so twice by nobody; no command
waits for SQL; a row of a room knows the position of the last event that made it; what the store lost after it was
recorded is named (`store.rolled_back`), and stays in `events`, marked as lost.
"""
