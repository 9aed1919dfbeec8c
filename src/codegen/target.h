/* Processors cnnc makes code for. */
#ifndef CNNC_CODEGEN_TARGET_H
#define CNNC_CODEGEN_TARGET_H
#include "codegen/codegen.h"

/* See CodegenApi.target. Names other than the levels of the x86-64 psABI are other spellings of
 * the highest level that processor has: with instruction order fixed by the emitter, tuning for one
 * processor would buy nothing, and an artefact then states exactly what it needs. */
bool target_describe(const char *cpu, Target *out, char *err, size_t err_len);
void target_host(char *cpu, size_t cpu_len);
/* Of the same machine the least: for code that runs before anything is known of the processor. */
Target target_least(const Target *t);
const char *target_features(const Target *t);
#endif
