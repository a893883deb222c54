"""`python -m claudebench`."""

from claudebench.cli.main import run

run()
