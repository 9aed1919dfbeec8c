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
    const char *prefix = x->prefix;
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

size_t artifact_weight_bytes(const Artifact *x, const Variant *v)
{
    int64_t floats = x->step != NULL ? x->step->code.plan.state.kept : v->native.plan.weight_floats;
    return (size_t)floats * sizeof(float);
}

static void header_shared(Buf *out)
{
    buf_add(out, "\n/* The same in every model's header. */\n#ifndef CNNRT_SHARED\n"
                 "#define CNNRT_SHARED\ntypedef enum CnnrtStatus {\n");
#define STATUS(ID, NUMBER, TEXT)                                                                   \
    buf_printf(out, "    CNNRT_%s = %d%s /* %s */\n", #ID, NUMBER,                                 \
               NUMBER == CNNRT_DEVICE ? "" : ",", TEXT);
    CNNRT_STATUSES(STATUS)
#undef STATUS
    buf_add(out, "} CnnrtStatus;\ntypedef struct CnnrtModel CnnrtModel;\n"
                 "typedef struct CnnrtContext CnnrtContext;\n");
    artifact_training_types(out);
    buf_add(out, "#endif\n");
}

/* What differs between variants: of one variant the plain names are true, of several the largest.
 */
static void header_sizes(const Artifact *x, Buf *out)
{
    const char *p = x->prefix;
    int64_t arena = 0;
    size_t bytes = 0;
    for (int i = 0; i < x->count; i++) {
        const Plan *plan = &x->variants[i].native.plan;
        arena = plan->arena_floats > arena ? plan->arena_floats : arena;
        size_t own = artifact_weight_bytes(x, &x->variants[i]);
        bytes = own > bytes ? own : bytes;
    }
    buf_printf(out, "#define %s_ARENA_FLOATS_PER_IMAGE %" PRId64 "\n", p, arena);
    buf_printf(out, "#define %s_WEIGHTS_EMBEDDED %d\n#define %s_WEIGHTS_BYTES %zu\n", p,
               !x->external, p, bytes);
    if (x->external && x->count == 1)
        buf_printf(out, "#define %s_WEIGHTS_FILE \"%s\"\n", p,
                   artifact_file(x->variants[0].paths[FORM_PACKED]));
    if (x->count == 1)
        return;
    buf_printf(out,
               "\n/* Compiled for several processors: the best that this one can run is chosen, or "
               "the one\n * that CNNC_CPU names. */\n#define %s_VARIANTS %d\n",
               p, x->count);
    for (int i = 0; i < x->count; i++) {
        const Variant *v = &x->variants[i];
        buf_printf(out, "#define %s_VARIANT%d_CPU \"%s\"\n#define %s_VARIANT%d_WEIGHTS_BYTES %zu\n",
                   p, i, v->native.plan.target.cpu, p, i, artifact_weight_bytes(x, v));
        if (x->external)
            buf_printf(out, "#define %s_VARIANT%d_WEIGHTS_FILE \"%s\"\n", p, i,
                       v->emit.weights_file);
    }
}

static void header_functions(const Artifact *x, Buf *out)
{
    const char *p = x->prefix;
    buf_add(out, "\n/* Functions that return int return a CnnrtStatus; CNNRT_OK is 0.\n *\n"
                 " * Bytes a workspace needs for a batch and a number of threads (0 = as many as "
                 "create\n * would start); 0 = out of range. */\n");
    buf_printf(out, "size_t %s_workspace_size(int batch, int threads);\n\n", p);
    if (x->external && x->step == NULL) {
        buf_printf(out,
                   "/* The name of the file with the weights%s. */\n"
                   "const char *%s_weights_file(void);\n"
                   "/* Maps that file, wherever it lies, and compares its checksum. One mapping "
                   "serves any\n * number of contexts; unmap it after the last. */\n",
                   x->count > 1 ? " of the chosen variant; NULL when none runs here" : "", p);
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
    buf_printf(out, "const CnnrtModel *%s_model(void); /* for the functions of cnnrt.h%s */\n", p,
               x->count > 1 ? "; NULL: no variant runs here" : "");
    if (x->step != NULL)
        artifact_training_functions(x, out);
}

void artifact_header(const Artifact *x, Buf *out)
{
    const Graph *g = &x->net->elab->graph;
    const char *prefix = x->prefix;
    buf_printf(out,
               "/* %s, compiled by cnnc. Link with the object and libcnnrt, or with the shared "
               "object. */\n#ifndef %s_MODEL_H\n#define %s_MODEL_H\n#include <stddef.h>\n#include "
               "<stdint.h>\n"
               "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n",
               g->name, prefix, prefix);
    buf_printf(out, "#define %s_MAX_BATCH %d\n#define %s_INPUTS %u\n#define %s_OUTPUTS %u\n",
               prefix, x->variants[0].emit.max_batch, prefix, g->ins.len, prefix, g->outs.len);
    buf_printf(out, "#define %s_PARAMETERS %" PRId64 "\n", prefix, x->net->an.params);
    if (artifact_is_cuda(x))
        buf_printf(out, "#define %s_DTYPE \"%s\" /* of contractions; tensors are float */\n",
                   prefix, dtype_info[x->variants[0].native.plan.target.dtype].name);
    header_sizes(x, out);
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
