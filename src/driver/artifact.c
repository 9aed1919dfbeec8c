#include "driver/artifact.h"
#include "support/fs.h"
#include "support/temp.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *artifact_identifier(Arena *a, const char *name)
{
    bool digit = isdigit((unsigned char)name[0]) != 0;
    char *out = arena_printf(a, "%s%s", digit ? "_" : "", name);
    for (char *c = out; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c))
            *c = '_';
    return out;
}

static void header_tensor(const Net *n, const char *prefix, const char *kind, const char *name,
                          NodeId node, uint32_t index, const GraphInput *in, Buf *out)
{
    Shape s = n->an.shape[node.v];
    buf_printf(out, "/* %s %u, \"%s\": float32 [batch][%" PRId64 "]", kind, index, name, s.c);
    if (!s.flat)
        buf_printf(out, "[%" PRId64 "][%" PRId64 "]", s.h, s.w);
    buf_printf(out, " */\n#define %s_%s%u_C %" PRId64 "\n#define %s_%s%u_H %" PRId64 "\n", prefix,
               kind, index, s.c, prefix, kind, index, s.h);
    buf_printf(out, "#define %s_%s%u_W %" PRId64 "\n#define %s_%s%u_FLOATS %" PRId64 "\n", prefix,
               kind, index, s.w, prefix, kind, index, shape_count(s));
    if (in != NULL && in->has_norm)
        for (int64_t c = 0; c < s.c && c < 4; c++)
            buf_printf(out,
                       "#define %s_%s%u_MEAN%" PRId64 " %.9gf\n#define %s_%s%u_STD%" PRId64
                       " %.9gf\n",
                       prefix, kind, index, c, in->mean[c], prefix, kind, index, c, in->std[c]);
}

static void header_functions(const char *p, Buf *out)
{
    buf_add(out, "\n/* Statuses are CnnrtStatus values; 0 is success. */\n"
                 "typedef struct CnnrtContext CnnrtContext;\n\n"
                 "/* Bytes a workspace needs for a batch and a number of threads; 0 = out of "
                 "range. */\n");
    buf_printf(out, "size_t %s_workspace_size(int batch, int threads);\n\n", p);
    buf_add(out, "/* weights: NULL, they are embedded. threads: 0 = CNNC_THREADS or the "
                 "processors. workspace:\n * 64-byte aligned and yours, or NULL to let the context "
                 "allocate its own. */\n");
    buf_printf(out,
               "int %s_create(CnnrtContext **out, const float *weights, int threads, void "
               "*workspace,\n    size_t workspace_len);\n\n",
               p);
    buf_add(out, "/* Allocates nothing. One run at a time per context; any number of contexts. "
                 "*/\n");
    buf_printf(out,
               "int %s_run(CnnrtContext *context, int batch, const float *const *in, float *const "
               "*out);\n",
               p);
    buf_printf(out, "void %s_destroy(CnnrtContext *context);\n", p);
    buf_printf(out, "const char *%s_strerror(int status);\n", p);
}

void artifact_header(const Net *n, const Plan *plan, const char *prefix, int max_batch, Buf *out)
{
    const Graph *g = &n->elab->graph;
    buf_printf(out,
               "/* %s, compiled by cnnc. Link with the object and libcnnrt, or with the shared "
               "object. */\n#ifndef %s_MODEL_H\n#define %s_MODEL_H\n#include <stddef.h>\n"
               "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n",
               g->name, prefix, prefix);
    buf_printf(out, "#define %s_MAX_BATCH %d\n#define %s_INPUTS %u\n#define %s_OUTPUTS %u\n",
               prefix, max_batch, prefix, g->ins.len, prefix, g->outs.len);
    buf_printf(out, "#define %s_PARAMETERS %" PRId64 "\n", prefix, n->an.params);
    buf_printf(out, "#define %s_ARENA_FLOATS_PER_IMAGE %" PRId64 "\n\n", prefix,
               plan->arena_floats);
    for (uint32_t i = 0; i < g->ins.len; i++)
        header_tensor(n, prefix, "INPUT", g->ins.at[i].name, g->ins.at[i].node, i, &g->ins.at[i],
                      out);
    for (uint32_t i = 0; i < g->outs.len; i++)
        header_tensor(n, prefix, "OUTPUT", g->outs.at[i].name, g->outs.at[i].node, i, NULL, out);
    header_functions(prefix, out);
    buf_add(out, "\n#ifdef __cplusplus\n}\n#endif\n#endif\n");
}

int artifact_link(Run *r, LinkKind kind, const char *prefix, const char *const *objects, int count,
                  const char *path)
{
    enum { FIXED = 16 };
    char *runtime = native_find("lib/libcnnrt.a"), *tmp = NULL;
    const char **argv = calloc((size_t)count + FIXED, sizeof *argv), *err = NULL;
    const char *cc = getenv("CC");
    int code = EXIT_FINE, n = 0, fd = -1;
    const char *bind =
        arena_printf(&r->net_arena, "-Wl,--defsym=cnnrt_program_model=%s_model", prefix);
    if (asprintf(&tmp, "%s.XXXXXX", path) < 0)
        tmp = NULL;
    if (runtime == NULL || argv == NULL || tmp == NULL) {
        code = front_fail(r, EXIT_LIMIT, "out of memory");
    } else if ((fd = temp_file(tmp)) < 0) {
        code = front_fail(r, EXIT_FILE, "%s: %s", path, strerror(errno));
    } else {
        close(fd);
        argv[n++] = cc != NULL && *cc != '\0' ? cc : "cc";
        argv[n++] = kind == LINK_SHARED ? "-shared" : "-pie";
        argv[n++] = "-Wl,--build-id=none";
        argv[n++] = "-Wl,-z,noexecstack,--exclude-libs,ALL";
        if (kind == LINK_PROGRAM)
            argv[n++] = bind;
        argv[n++] = "-o";
        argv[n++] = tmp;
        for (int i = 0; i < count; i++)
            argv[n++] = objects[i];
        argv[n++] = runtime;
        argv[n++] = "-lm";
        argv[n++] = "-lpthread";
        int status = fs_spawn(argv, &err);
        if (status != 0)
            code = front_fail(r, EXIT_FILE, "linking with '%s' failed%s%s", argv[0],
                              err ? ": " : "", err ? err : "");
        else if (!fs_finish_mode(tmp, true) || rename(tmp, path) != 0)
            code = front_fail(r, EXIT_FILE, "%s: %s", path, strerror(errno));
        if (code != EXIT_FINE)
            unlink(tmp);
        temp_drop(tmp);
    }
    free(runtime);
    free(tmp);
    free(argv);
    return code;
}
