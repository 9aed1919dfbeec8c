/* Kernels for GPUs on their way into an artefact. */
#ifndef CNNC_GPU_H
#define CNNC_GPU_H
#include "driver/native.h"

/* The code of a CUDA plan for the objects of the host: PTX and, where ptxas is found, machine code
 * for usual architectures. `folder` is a temporary one. Texts and arrays are in the net's arena;
 * gpu_free gives back what they point to. Returns an exit code. */
int gpu_images(Run *r, const Native *n, const char *folder, EmitOptions *o);
/* PTX alone, for this process. */
int gpu_ptx(Run *r, const Native *n, EmitOptions *o);
void gpu_free(EmitOptions *o);
/* What an artefact with such code is linked with; NULL with *code set when there is none here. In
 * the net's arena. */
const char *gpu_runtime(Run *r, int *code); /* libcnnrt_cuda.a */
const char *gpu_cudart(Run *r, int *code);  /* libcudart_static.a */
/* Opens what runs CUDA models in this process, a const CnnrtBackend; it stays open. Returns an exit
 * code. */
int gpu_backend(Run *r, const void **out);
/* A tool of the CUDA toolkit (CUDA_HOME, PATH, /usr/local/cuda), or NULL. In the arena. */
const char *gpu_tool(Arena *a, const char *name);
#endif
