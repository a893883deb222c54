"""The command line: noun then verb, `--json` everywhere.

Exit codes: 0 done, 1 failed, 2 usage, 3 server not reachable, 4 not found, 5 conflict.
Modules are imported when their command runs, so that `--help` stays quick.
"""
