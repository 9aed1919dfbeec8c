#include "driver/gpu.h"
#include "support/fs.h"
#include "support/temp.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Architectures that get machine code of their own beside the PTX, which the driver compiles for
 * all others: those of data centres. */
static const int usual[] = {80, 90};
enum { USUAL = sizeof usual / sizeof usual[0] };

static const char *home(void)
{
    const char *given = getenv("CUDA_HOME");
    return given != NULL && *given != '\0' ? given : "/usr/local/cuda";
}

const char *gpu_tool(Arena *a, const char *name)
{
    const char *at = arena_printf(a, "%s/bin/%s", home(), name);
    return access(at, X_OK) == 0 ? at : fs_program(a, name);
}

/* "sm_90a": 90, for that one alone. */
static EmitImage image_of(const char *cpu)
{
    char *end;
    EmitImage m = {.arch = (int)strtol(cpu + strlen("sm_"), &end, 10)};
    m.exact = *end != '\0';
    return m;
}

static int make_text(Run *r, const Native *n, EmitKind kind, const EmitOptions *o, EmitImage *out)
{
    char err[512] = "";
    EmitResult text = {0};
    double t = front_seconds();
    if (!n->api->emit(&n->plan, kind, o, &text, err, sizeof err))
        return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
    stage_time(r, kind == EMIT_ASM ? "generate PTX" : "generate LLVM IR", t);
    *out = image_of(n->plan.target.cpu);
    out->data = text.pieces[0].data; /* a text is one piece */
    out->len = text.pieces[0].len;
    text.pieces[0].data = NULL;
    n->api->emit_free(&text);
    return EXIT_FINE;
}

/* Machine code of the PTX in the file `ptx`, for one architecture. */
static int assemble(Run *r, const char *ptxas, const char *folder, const char *ptx, EmitImage *m)
{
    const char *err = NULL, *cubin = arena_printf(&r->net_arena, "%s/code.cubin", folder);
    const char *arch = arena_printf(&r->net_arena, "-arch=sm_%d%s", m->arch, m->exact ? "a" : "");
    const char *argv[] = {ptxas, arch, ptx, "-o", cubin, NULL};
    double t = front_seconds();
    if (fs_spawn(argv, folder, &err) != 0)
        return front_fail(r, EXIT_FILE, "'%s' failed%s%s", ptxas, err != NULL ? ": " : "",
                          err != NULL ? err : "");
    m->cubin = true;
    m->data = fs_read(cubin, (size_t)1 << 31, &m->len, &err);
    unlink(cubin);
    if (m->data == NULL)
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", cubin, err);
    stage_time(r, arena_printf(&r->net_arena, "assemble for sm_%d", m->arch), t);
    return EXIT_FINE;
}

static EmitImage *begin_images(Run *r, const Native *n, EmitKind kind, EmitOptions *o, int *code)
{
    EmitImage *images = arena_array(&r->net_arena, USUAL + 1, sizeof(EmitImage));
    *code = make_text(r, n, kind, o, &images[0]);
    o->images = images;
    o->image_count = *code == EXIT_FINE;
    o->host = native_host(n);
    return images;
}

int gpu_images(Run *r, const Native *n, const char *folder, EmitOptions *o)
{
    int code;
    const char *err = NULL, *ptxas = gpu_tool(&r->net_arena, "ptxas");
    EmitImage *images = begin_images(r, n, EMIT_ASM, o, &code);
    if (code != EXIT_FINE || ptxas == NULL)
        return code;
    const char *ptx = arena_printf(&r->net_arena, "%s/code.ptx", folder);
    if (!fs_write_all(ptx, images[0].data, images[0].len, false, &err))
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", ptx, err);
    for (int i = 0; i < USUAL && code == EXIT_FINE; i++) {
        EmitImage m = images[0];
        if (usual[i] < m.arch || (m.exact && usual[i] != m.arch))
            continue;
        m.arch = usual[i];
        m.data = NULL;
        code = assemble(r, ptxas, folder, ptx, &m);
        if (code == EXIT_FINE)
            images[o->image_count++] = m;
    }
    unlink(ptx);
    return code;
}

void gpu_free(EmitOptions *o)
{
    for (int i = 0; i < o->image_count; i++)
        free((void *)(uintptr_t)o->images[i].data);
    o->image_count = 0;
}

/* What runs CUDA models in this process; malloc'ed. */
static char *backend_path(void)
{
    const char *given = getenv("CNNC_CUDA_LIBRARY");
    return given != NULL && *given != '\0' ? strdup(given) : native_library("libcnnrt_cuda.so");
}

bool gpu_is_here(void)
{
    char *path = backend_path(), name[320];
    void *lib = path != NULL && access(path, R_OK) == 0
                    ? dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)
                    : NULL;
    const CnnrtBackend *b = lib != NULL ? dlsym(lib, "cnnrt_cuda_backend") : NULL;
    free(path);
    return b != NULL && b->abi == CNNRT_ABI_VERSION && b->device(name, sizeof name) == CNNRT_OK;
}

/* Opens the runtime; *text: what it takes as images. */
static int open_backend(Run *r, const void **out, EmitKind *text)
{
    char *path = backend_path();
    if (path == NULL)
        return front_fail(r, EXIT_LIMIT, "out of memory");
    int code = EXIT_FINE;
    if (access(path, R_OK) != 0) {
        code = front_fail(r, EXIT_FILE,
                          "%s is not there: this cnnc was built without the CUDA toolkit (12.8 or "
                          "newer), and runs nothing on GPUs",
                          path);
    } else {
        void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
        *out = lib != NULL ? dlsym(lib, "cnnrt_cuda_backend") : NULL;
        *text = lib != NULL && dlsym(lib, "cnnrt_cuda_takes_ir") != NULL ? EMIT_LLVM_IR : EMIT_ASM;
        if (*out == NULL)
            code = front_fail(r, EXIT_FILE, "cannot open %s: %s", path, dlerror());
    }
    free(path);
    return code;
}

int gpu_name(Run *r, char *name, size_t len)
{
    EmitKind text = EMIT_ASM;
    const void *found = NULL;
    int code = open_backend(r, &found, &text);
    const CnnrtBackend *b = found;
    if (code != EXIT_FINE || b == NULL)
        return code;
    if (b->abi != CNNRT_ABI_VERSION)
        return front_fail(r, EXIT_FILE, "%s", cnnrt_strerror(CNNRT_BAD_MODEL));
    int status = b->device(name, len);
    return status == CNNRT_OK
               ? EXIT_FINE
               : front_fail(r, EXIT_FILE, "%s: %s", cnnrt_strerror(status), b->detail());
}

int gpu_here(Run *r, const Native *n, EmitOptions *o)
{
    EmitKind text = EMIT_ASM;
    int code = open_backend(r, &o->backend, &text);
    if (code == EXIT_FINE)
        begin_images(r, n, text, o, &code);
    return code;
}

const char *gpu_runtime(Run *r, int *code)
{
    char *path = native_library("libcnnrt_cuda.a");
    const char *out = NULL;
    if (path == NULL)
        *code = front_fail(r, EXIT_LIMIT, "out of memory");
    else if (access(path, R_OK) != 0)
        *code =
            front_fail(r, EXIT_FILE,
                       "this cnnc was built without the CUDA toolkit (12.8 or newer), and makes "
                       "no programs for GPUs: --emit=ptx,packed,manifest does without");
    else
        out = arena_strdup(&r->net_arena, path);
    free(path);
    return out;
}

const char *gpu_cudart(Run *r, int *code)
{
    static const char *const folders[] = {"lib64", "lib", "targets/x86_64-linux/lib",
                                          "targets/sbsa-linux/lib"};
    const char *given = getenv("CNNC_CUDART");
    if (given != NULL && *given != '\0')
        return given;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        const char *at =
            arena_printf(&r->net_arena, "%s/%s/libcudart_static.a", home(), folders[i]);
        if (access(at, R_OK) == 0)
            return at;
    }
    *code = front_fail(r, EXIT_FILE,
                       "no libcudart_static.a in %s: set CUDA_HOME to the folder of the CUDA "
                       "toolkit, or CNNC_CUDART to the file",
                       home());
    return NULL;
}
