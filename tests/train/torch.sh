#!/bin/sh
# Training steps beside PyTorch's: two of each here; all fifty, with more optimizers, are
# tests/tools/torch_train.py. CHECK_FULL=1: those. Its free runs (band:NET) are no test: which of them leaves
# the others first is decided by rectifiers nearer to zero than rounding (tests/tools/torch_kinks.py).
set -u
python=/usr/bin/python3
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "$python" -c 'import torch, numpy' 2>/dev/null; then
    echo "SKIP train.torch: no PyTorch (Debian: python3-torch)"
    exit 0
fi
cases="resnet18:sgd efficientnet_b0:adamw resnet18:lamb resnet18:rmsproptf"
steps=2
if [ -n "${CHECK_FULL:-}" ]; then
    cases="resnet18:sgd resnet18:adamw resnet18:lamb resnet18:rmsproptf efficientnet_b0:sgd efficientnet_b0:adamw
        efficientnet_b0:lamb efficientnet_b0:rmsproptf"
    steps=50
fi
for case in $cases; do
    if "$python" -B "$SRC/tests/tools/torch_train.py" --steps $steps "$case" >"$log" 2>&1; then
        echo "PASS train.$case"
    else
        echo "FAIL train.$case: $(tail -c 400 "$log" | tr '\n' ' ')"
    fi
done
