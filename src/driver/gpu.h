/* Kernels for GPUs on their way into an artefact. */
#ifndef CNNC_GPU_H
#define CNNC_GPU_H
#include "driver/native.h"

/* The code of a CUDA plan for the objects of the host: PTX and, where ptxas is found, machine code
 * for usual architectures. `folder` is a temporary one. Texts and arrays are in the net's arena;
 * gpu_free gives back what they point to. Returns an exit code. */
int gpu_images(Run *r, const Native *n, const char *folder, EmitOptions *o);
/* For this process: what runs CUDA models in it, which stays open, and PTX of the plan; LLVM IR
 * where the runtime says that it takes that, as the emulator does. Returns an exit code. */
int gpu_here(Run *r, const Native *n, EmitOptions *o);
void gpu_free(EmitOptions *o);
/* What an artefact with such code is linked with; NULL with *code set when there is none here. In
 * the net's arena. */
const char *gpu_runtime(Run *r, int *code); /* libcnnrt_cuda.a */
const char *gpu_cudart(Run *r, int *code);  /* libcudart_static.a */
/* The name of the GPU that networks run on here. Returns an exit code: none is EXIT_FILE. */
int gpu_name(Run *r, char *name, size_t len);
/* Whether there is one, without a word. */
bool gpu_is_here(void);
/* A tool of the CUDA toolkit (CUDA_HOME, PATH, /usr/local/cuda), or NULL. In the arena. */
const char *gpu_tool(Arena *a, const char *name);
#endif
