/* The texts beside a built model: its header and its pkg-config file. */
#include "driver/artifact.h"
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

const FormInfo form_info[FORM_COUNT] = {
#define FORM(ID, NAME, SUFFIX, DOC) {NAME, SUFFIX},
#include "driver/form.def"
};

const char *artifact_file(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

const char *artifact_identifier(Arena *a, const char *name)
{
    bool digit = isdigit((unsigned char)name[0]) != 0;
    char *out = arena_printf(a, "%s%s", digit ? "_" : "", name);
    for (char *c = out; *c != '\0'; c++)
        if (!isalnum((unsigned char)*c))
            *c = '_';
    return out;
}

static void header_tensor(const Artifact *x, const char *kind, const char *name, NodeId node,
                          uint32_t index, const GraphInput *in, Buf *out)
{
    const char *prefix = x->emit->prefix;
    Shape s = x->net->an.shape[node.v];
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

size_t artifact_weight_bytes(const Artifact *x)
{
    int64_t floats =
        x->step != NULL ? x->step->code.plan.state.kept : x->native->plan.weight_floats;
    return (size_t)floats * sizeof(float);
}

static void header_shared(Buf *out)
{
    buf_add(out, "\n/* The same in every model's header. */\n#ifndef CNNRT_SHARED\n"
                 "#define CNNRT_SHARED\ntypedef enum CnnrtStatus {\n");
#define STATUS(ID, NUMBER, TEXT)                                                                   \
    buf_printf(out, "    CNNRT_%s = %d%s /* %s */\n", #ID, NUMBER,                                 \
               NUMBER == CNNRT_BAD_COUNTERS ? "" : ",", TEXT);
    CNNRT_STATUSES(STATUS)
#undef STATUS
    buf_add(out, "} CnnrtStatus;\ntypedef struct CnnrtModel CnnrtModel;\n"
                 "typedef struct CnnrtContext CnnrtContext;\n");
    artifact_training_types(out);
    buf_add(out, "#endif\n");
}

static void header_weights(const Artifact *x, Buf *out)
{
    const char *p = x->emit->prefix;
    size_t bytes = artifact_weight_bytes(x);
    buf_printf(out, "#define %s_WEIGHTS_EMBEDDED %d\n#define %s_WEIGHTS_BYTES %zu\n", p,
               !x->external, p, bytes);
    if (x->external)
        buf_printf(out, "#define %s_WEIGHTS_FILE \"%s\"\n", p,
                   artifact_file(x->paths[FORM_PACKED]));
}

static void header_functions(const Artifact *x, Buf *out)
{
    const char *p = x->emit->prefix;
    buf_add(out, "\n/* Functions that return int return a CnnrtStatus; CNNRT_OK is 0.\n *\n"
                 " * Bytes a workspace needs for a batch and a number of threads (0 = as many as "
                 "create\n * would start); 0 = out of range. */\n");
    buf_printf(out, "size_t %s_workspace_size(int batch, int threads);\n\n", p);
    if (x->external && x->step == NULL) {
        buf_printf(out,
                   "/* Maps %s_WEIGHTS_FILE, wherever it lies, and compares its checksum. One "
                   "mapping serves any\n * number of contexts; unmap it after the last. */\n",
                   p);
        buf_printf(out, "int %s_weights_map(const char *path, const float **out);\n", p);
        buf_printf(out, "void %s_weights_unmap(const float *weights);\n\n", p);
    }
    buf_add(out, x->step != NULL ? "/* weights: what train_parameters gave."
                 : x->external   ? "/* weights: what weights_map gave."
                                 : "/* weights: NULL, they are embedded.");
    buf_add(out, " threads: 0 = CNNC_THREADS or the processors.\n * workspace: 64-byte aligned "
                 "and yours, or NULL to let the context allocate its own. */\n");
    buf_printf(out,
               "int %s_create(CnnrtContext **out, const float *weights, int threads,\n"
               "    void *workspace, size_t workspace_len);\n\n",
               p);
    buf_add(out, "/* Allocates nothing. One run at a time per context; any number of contexts. "
                 "*/\n");
    buf_printf(out,
               "int %s_run(CnnrtContext *context, int batch, const float *const *in,\n"
               "    float *const *out);\n",
               p);
    buf_printf(out, "int %s_threads(const CnnrtContext *context);\n", p);
    buf_printf(out, "void %s_destroy(CnnrtContext *context);\n", p);
    buf_printf(out, "const char *%s_strerror(int status);\n", p);
    buf_printf(out, "const CnnrtModel *%s_model(void); /* for the functions of cnnrt.h */\n", p);
    if (x->step != NULL)
        artifact_training_functions(x, out);
}

void artifact_header(const Artifact *x, Buf *out)
{
    const Graph *g = &x->net->elab->graph;
    const char *prefix = x->emit->prefix;
    buf_printf(out,
               "/* %s, compiled by cnnc. Link with the object and libcnnrt, or with the shared "
               "object. */\n#ifndef %s_MODEL_H\n#define %s_MODEL_H\n#include <stddef.h>\n#include "
               "<stdint.h>\n"
               "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n",
               g->name, prefix, prefix);
    buf_printf(out, "#define %s_MAX_BATCH %d\n#define %s_INPUTS %u\n#define %s_OUTPUTS %u\n",
               prefix, x->emit->max_batch, prefix, g->ins.len, prefix, g->outs.len);
    buf_printf(out, "#define %s_PARAMETERS %" PRId64 "\n", prefix, x->net->an.params);
    buf_printf(out, "#define %s_ARENA_FLOATS_PER_IMAGE %" PRId64 "\n", prefix,
               x->native->plan.arena_floats);
    header_weights(x, out);
    if (x->step != NULL)
        artifact_training_sizes(x, out);
    buf_addc(out, '\n');
    for (uint32_t i = 0; i < g->ins.len; i++)
        header_tensor(x, "INPUT", g->ins.at[i].name, g->ins.at[i].node, i, &g->ins.at[i], out);
    for (uint32_t i = 0; i < g->outs.len; i++)
        header_tensor(x, "OUTPUT", g->outs.at[i].name, g->outs.at[i].node, i, NULL, out);
    header_shared(out);
    header_functions(x, out);
    buf_add(out, "\n#ifdef __cplusplus\n}\n#endif\n#endif\n");
}

void artifact_pkg_config(const Artifact *x, Buf *out)
{
    const char *name = x->net->elab->graph.name;
    /* pcfiledir keeps it true wherever the files are moved together */
    buf_printf(out,
               "Name: %s\nDescription: the network %s, compiled by cnnc\nVersion: %s\n"
               "Cflags: -I${pcfiledir}\n",
               name, name, CNNC_VERSION);
    if (x->paths[FORM_SO] != NULL) {
        buf_printf(out, "Libs: -L${pcfiledir} -l:%s -Wl,-rpath,${pcfiledir}\n",
                   artifact_file(x->paths[FORM_SO]));
        return;
    }
    buf_printf(out, "Requires: cnnc\nLibs: ${pcfiledir}/%s\n", artifact_file(x->paths[FORM_OBJ]));
}
