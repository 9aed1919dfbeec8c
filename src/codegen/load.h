/* Code in the running process. */
#ifndef CNNC_LOAD_H
#define CNNC_LOAD_H
#include "codegen/codegen.h"

/* See CodegenApi. */
Loaded *load_plan(const Plan *p, const EmitOptions *o, const void **model, char *err,
                  size_t err_len);
void load_free(Loaded *l);
#endif
