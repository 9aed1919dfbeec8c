# Checks every #include "folder/file" of src/** against src/LAYERS.
# usage: awk -f layers.awk src/LAYERS FILE...
FNR == NR {
    if ($0 ~ /^#/ || $0 !~ /:/) next
    split($0, half, ":")
    allowed[half[1]] = " " half[2] " " half[1] " "
    next
}
/^#include "/ {
    split(FILENAME, path, "/")
    from = path[2]
    split($2, quoted, "\"")
    if (split(quoted[2], part, "/") < 2) next
    to = part[1]
    if (!(from in allowed)) { print FILENAME ": folder " from " is not in src/LAYERS"; bad = 1 }
    else if (index(allowed[from], " " to " ") == 0) {
        print FILENAME ":" FNR ": " from " may not include " to
        bad = 1
    }
}
END { exit bad }
