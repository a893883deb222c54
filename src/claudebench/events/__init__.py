"""The event log: one stream per workspace, written only by the scripts that make the changes it tells of."""
