/* The last step to a file users run: cc and ld, through temporary files that are renamed. */
#include "driver/artifact.h"
#include "driver/gpu.h"
#include "support/fs.h"
#include "support/temp.h"
#include <stdlib.h>
#include <unistd.h>

/* Runs a linker whose words are all there but for the output, which goes where argv[at] is. A
 * device or stdout gets a copy of what is linked in the folder of the objects. */
static int run_linker(Run *r, const char **argv, int at, bool exec, const char *object,
                      const char *path)
{
    const char *err = NULL;
    int folder = (int)(artifact_file(object) - object), code = EXIT_FINE;
    char *scratch = arena_printf(&r->net_arena, "%.*slinked", folder, object);
    const char *own = arena_printf(&r->net_arena, "%.*s", folder - 1, object);
    FsOut o;
    if (!fs_open_out(&o, path, &err))
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    argv[at] = o.tmp != NULL ? o.tmp : scratch;
    temp_add(scratch);
    int status = fs_spawn(argv, own, &err);
    if (status != 0) {
        code = front_fail(r, EXIT_FILE, "%s: linking with '%s' failed%s%s", path, argv[0],
                          err ? ": " : "", err ? err : "");
        fs_abandon(&o);
    } else if (!fs_take(&o, scratch, exec, &err)) {
        code = front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    }
    unlink(scratch);
    temp_drop(scratch);
    return code;
}

/* A tool of the environment, else that of the target's machine, else of this one. Text in the
 * arena. */
static const char *tool(Run *r, const Artifact *x, const char *variable, const char *cross,
                        const char *here)
{
    const char *given = getenv(variable);
    const char *arch = native_foreign(native_host(&variant_least(x)->native));
    if (given != NULL && *given != '\0')
        return given;
    return arch != NULL ? arena_printf(&r->net_arena, "%s-linux-gnu-%s", arch, cross) : here;
}

/* A library of the target's machine; malloc'ed. NULL with *code set. */
static char *find_library(Run *r, const Artifact *x, const char *name, int *code)
{
    const char *arch = native_foreign(native_host(&variant_least(x)->native));
    char *path =
        native_library(arch == NULL ? name : arena_printf(&r->net_arena, "%s/%s", arch, name));
    *code = EXIT_FINE;
    if (path == NULL) {
        *code = front_fail(r, EXIT_LIMIT, "out of memory");
    } else if (arch != NULL && access(path, R_OK) != 0) {
        *code = front_fail(r, EXIT_FILE,
                           "%s: no runtime for %s; 'make cross ARCH=%s' makes it, and --emit=obj "
                           "does without",
                           path, arch, arch);
        free(path);
        path = NULL;
    }
    return path;
}

int artifact_link(Run *r, const Artifact *x, LinkKind kind, const char *const *objects, int count,
                  const char *path)
{
    enum { FIXED = 20 };
    int code, n = 0, out;
    const char *cuda = NULL, *cudart = NULL;
    char *runtime = find_library(r, x, "libcnnrt.a", &code), *training = NULL;
    if (runtime != NULL && x->step != NULL)
        training = find_library(r, x, "libcnntrain.a", &code);
    if (code == EXIT_FINE && artifact_is_cuda(x))
        cuda = gpu_runtime(r, &code);
    if (code == EXIT_FINE && cuda != NULL)
        cudart = gpu_cudart(r, &code);
    if (code != EXIT_FINE) {
        free(training);
        free(runtime);
        return code;
    }
    const char **argv = calloc((size_t)count + FIXED, sizeof *argv);
    if (argv == NULL) {
        code = front_fail(r, EXIT_LIMIT, "out of memory");
    } else {
        argv[n++] = tool(r, x, "CC", "gcc", "cc");
        argv[n++] = kind == LINK_SHARED ? "-shared" : "-pie";
        argv[n++] = "-Wl,--build-id=none";
        argv[n++] = "-Wl,-z,noexecstack,-z,relro,-z,now,--exclude-libs,ALL";
        if (kind == LINK_PROGRAM)
            argv[n++] =
                arena_printf(&r->net_arena, "-Wl,--defsym=cnnrt_program_model=%s_model", x->prefix);
        argv[n++] = "-o";
        out = n++;
        for (int i = 0; i < count; i++)
            argv[n++] = objects[i];
        if (training != NULL)
            argv[n++] = training;
        if (cuda != NULL)
            argv[n++] = cuda;
        argv[n++] = runtime;
        if (cuda != NULL) {
            argv[n++] = cudart;
            argv[n++] = "-ldl";
            argv[n++] = "-lrt";
        }
        argv[n++] = "-lm";
        argv[n++] = "-lpthread";
        code = run_linker(r, argv, out, true, objects[0], path);
    }
    free(training);
    free(runtime);
    free(argv);
    return code;
}

int artifact_join(Run *r, const Artifact *x, const char *const *objects, int count,
                  const char *path)
{
    const char **argv = calloc((size_t)count + 5, sizeof *argv);
    if (argv == NULL)
        return front_fail(r, EXIT_LIMIT, "out of memory");
    argv[0] = tool(r, x, "LD", "ld", "ld");
    argv[1] = "-r";
    argv[2] = "-o";
    for (int i = 0; i < count; i++)
        argv[4 + i] = objects[i];
    int code = run_linker(r, argv, 3, false, objects[0], path);
    free(argv);
    return code;
}
