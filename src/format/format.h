/* The canonical layout of .cnn files: only white space changes. */
#ifndef CNNC_FORMAT_H
#define CNNC_FORMAT_H
#include "syntax/ast.h"

/* Formats a file that parsed without errors into `out` (a new buffer). False when the result would
 * not have the same tokens (a defect of the formatter, and nothing to be written) or when memory
 * ran out: then buf_ok(out) is false. Memory of the
 * arena may run out (its handler takes over). */
bool format_ast(const Ast *t, Arena *a, Buf *out);
#endif
