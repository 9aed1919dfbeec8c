/* Turning object code into files users deploy: C header, shared object, program. */
#ifndef CNNC_ARTIFACT_H
#define CNNC_ARTIFACT_H
#include "driver/native.h"

/* A C identifier made of name: other characters become '_'. Arena text. */
const char *artifact_identifier(Arena *a, const char *name);
/* The header of a built model: sizes, names, normalisation constants and the entry points. */
void artifact_header(const Net *n, const Plan *p, const char *prefix, int max_batch, Buf *out);
typedef enum LinkKind { LINK_PROGRAM, LINK_SHARED } LinkKind;
/* Links object files with libcnnrt through cc, into a temporary file renamed to `path`. */
int artifact_link(Run *r, LinkKind kind, const char *prefix, const char *const *objects, int count,
                  const char *path);
#endif
