/* The last step to a file users run: cc and ld, through temporary files that are renamed. */
#include "driver/artifact.h"
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
    FsOut o;
    if (!fs_open_out(&o, path, &err))
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    argv[at] = o.tmp != NULL ? o.tmp : scratch;
    temp_add(scratch);
    int status = fs_spawn(argv, &err);
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

int artifact_link(Run *r, LinkKind kind, const char *prefix, const char *const *objects, int count,
                  const char *path)
{
    enum { FIXED = 16 };
    char *runtime = native_library("libcnnrt.a"), *training = native_library("libcnntrain.a");
    const char **argv = calloc((size_t)count + FIXED, sizeof *argv);
    const char *cc = getenv("CC");
    int code, n = 0, out;
    if (runtime == NULL || training == NULL || argv == NULL) {
        code = front_fail(r, EXIT_LIMIT, "out of memory");
    } else {
        argv[n++] = cc != NULL && *cc != '\0' ? cc : "cc";
        argv[n++] = kind == LINK_SHARED ? "-shared" : "-pie";
        argv[n++] = "-Wl,--build-id=none";
        argv[n++] = "-Wl,-z,noexecstack,-z,relro,-z,now,--exclude-libs,ALL";
        if (kind == LINK_PROGRAM)
            argv[n++] =
                arena_printf(&r->net_arena, "-Wl,--defsym=cnnrt_program_model=%s_model", prefix);
        argv[n++] = "-o";
        out = n++;
        for (int i = 0; i < count; i++)
            argv[n++] = objects[i];
        argv[n++] = training; /* nothing is taken of it where nothing trains */
        argv[n++] = runtime;
        argv[n++] = "-lm";
        argv[n++] = "-lpthread";
        code = run_linker(r, argv, out, true, objects[0], path);
    }
    free(training);
    free(runtime);
    free(argv);
    return code;
}

int artifact_join(Run *r, const char *const *objects, int count, const char *path)
{
    const char **argv = calloc((size_t)count + 5, sizeof *argv);
    if (argv == NULL)
        return front_fail(r, EXIT_LIMIT, "out of memory");
    const char *ld = getenv("LD");
    argv[0] = ld != NULL && *ld != '\0' ? ld : "ld";
    argv[1] = "-r";
    argv[2] = "-o";
    for (int i = 0; i < count; i++)
        argv[4 + i] = objects[i];
    int code = run_linker(r, argv, 3, false, objects[0], path);
    free(argv);
    return code;
}
