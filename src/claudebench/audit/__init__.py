"""The audit for people: look whether its chain is whole, read it, carry it away.

The chain itself is the record's (`record/audit.py`, `record/tampering.py`, `record/trail.py`). Everything here is the
operator's, and being asked is on record as well (`operator.commanded`).
"""
