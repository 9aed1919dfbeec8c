#!/bin/sh
# Pictures of networks: cnnc graph.
exec python3 -B "$SRC/tests/graph/graph_tests.py"
