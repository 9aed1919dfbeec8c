/* The weights of a built network as an object file. */
#ifndef CNNC_CODEGEN_WEIGHTS_H
#define CNNC_CODEGEN_WEIGHTS_H
#include "codegen/codegen.h"

/* An ELF object that holds the bytes of o->weights_file, aligned to 64, under the hidden symbol
 * `name`. Written here and not by the assembler, which would hold several copies of what may be
 * gigabytes. False with a message in err; the file must have as many floats as the plan says. */
bool weights_object(const Plan *p, const EmitOptions *o, const char *name, EmitPiece *out,
                    char *err, size_t err_len);
#endif
