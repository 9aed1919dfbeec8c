/* The canonical layout of .cnn files: only white space changes. */
#ifndef CNNC_FORMAT_H
#define CNNC_FORMAT_H
#include "syntax/ast.h"

/* Formats a file that parsed without errors into `out` (a new buffer); `names` are those of its
 * tree. False when the result would not have the same tokens, comments and tree: a defect of the
 * formatter, and nothing to be written. Work space comes from the arena, whose handler takes over
 * when memory runs out; the caller looks at buf_ok(out) first. */
bool format_ast(const Ast *t, Arena *a, Intern *names, Buf *out);
#endif
