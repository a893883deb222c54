"""Backup and restore: store, record, audit and keys of an installation as one file.

The record is copied before the store. So in a backup the record may lag behind the store and is never ahead of it, and
the projector of the restored server makes up for the lag from the log, which the store brings along: what one event
makes of the record and of the audit is always the same. The store is copied as it was at one moment: an embedded one by
the engine itself (a fork, so nobody waits), one of yours workspace by workspace, each in one atom.

A restore looks at the whole file before it touches anything, builds the data directory beside its place, lets the
engine load it there, and changes the two in one step. Killed at any point it leaves the old state or the new one.
"""
