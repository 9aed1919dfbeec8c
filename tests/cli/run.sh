#!/bin/sh
# The command line: exit codes, streams, messages, outputs that appear whole or not at all.
# T=part-of-name runs some of the files.
status=0
for f in "$SRC"/tests/cli/*_tests.py; do
    case $f in *"${T:-}"*) python3 -B "$f" || status=1 ;; esac
done
exit $status
