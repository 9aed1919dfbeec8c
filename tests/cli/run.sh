#!/bin/sh
# The command line: exit codes, streams, outputs that appear whole or not at all.
exec python3 "$SRC/tests/cli/cli_tests.py"
