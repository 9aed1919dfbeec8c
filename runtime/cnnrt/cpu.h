/* Which code this processor runs. */
#ifndef CNNRT_CPU_H
#define CNNRT_CPU_H
#include <stdbool.h>

/* Whether this processor has what a model's `cpu` names. */
bool cnnrt_cpu_suffices(const char *need);
#endif
