"""The ledger: each task is handed to exactly one instance, and taken back when that instance dies.

States: pending -> in_progress -> completed or failed. A pending task is free, or reserved for one instance (assign).
The owner and the epoch are the truth; queues, sets and lists are indexes that the same scripts keep. The epoch grows by
one each time the owner changes, so a late word of a former owner is told from the owner's.

    create        -> pending, free                  task.created
    assign(i)     -> pending, reserved for i        task.assigned
    claim(i)      -> in_progress, owner i           task.claimed      attempts + 1
    renew         -> longer lease                   (a touch, no event)
    complete      -> completed                      task.completed
    fail          -> failed, or free again          task.failed, task.returned
    release, unassign, owner dead, lease over -> pending, free   task.returned
    delete        -> gone                           task.deleted
    retention over -> gone                          (housekeeping, no event)

Invariants: a task is in at most one of ready:{sig} and held:{i}; the load of an instance is the size of held:{i}; a
task is never taken back for being long, only when its owner is dead or a lease that it asked for is over; a stale epoch
changes nothing; after maxAttempts a task is failed and a dead letter.
"""
