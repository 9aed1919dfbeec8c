#!/bin/sh
# A float array [1][c][h][w] of bytes that repeat:   ramp.sh FILE C H W
{
    printf '\223NUMPY\001\000\166\000'
    printf '%-117s\n' "{'descr': '|u1', 'fortran_order': False, 'shape': (1, $2, $3, $4), }"
    yes 'a ramp of letters, z to A, and 0 to 9' | head -c $(($2 * $3 * $4))
} >"$1"
