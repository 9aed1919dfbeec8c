/* The weights of a built network as an object file. */
#ifndef CNNC_CODEGEN_WEIGHTS_H
#define CNNC_CODEGEN_WEIGHTS_H
#include "codegen/codegen.h"

/* The ELF relocatable object around packed weights (codegen.h): its parts before and after them,
 * malloc'ed. Made here and not by the assembler, which would hold several copies of what may be
 * gigabytes. False with a message in err. */
bool weights_object(const Target *t, const char *prefix, size_t bytes, EmitPiece *head,
                    EmitPiece *tail, char *err, size_t err_len);
#endif
