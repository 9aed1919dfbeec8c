"""near.py ONE.npy OTHER.npy TOLERANCE: equal up to it, relative to the largest value."""
import re
import struct
import sys


def read(path):
    data = open(path, "rb").read()
    (n,) = struct.unpack("<H", data[8:10])
    shape = [int(x) for x in re.findall(rb"\d+", data[10:10 + n].split(b"shape")[1])]
    return shape, struct.unpack("<%df" % ((len(data) - 10 - n) // 4), data[10 + n:])


(s, a), (t, b) = read(sys.argv[1]), read(sys.argv[2])
size = max(map(abs, b))
worst = max(abs(x - y) for x, y in zip(a, b)) / size if size > 0 else float("inf")
print("worst difference %.2e of %.3g" % (worst, size))
sys.exit(not (s == t and len(a) == len(b) and worst <= float(sys.argv[3])))
