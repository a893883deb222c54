"""One adapter per agent CLI: its native hook JSON to our hook commands, and our answer to its native one.

An adapter is two pure functions and knows no room and no door. Answers carry the fewest fields that say it.
"""
