/* The manifest of a built model (docs/artefacts.md): no times, no absolute paths. */
#include "driver/artifact.h"
#include <inttypes.h>
#include <string.h>

static void manifest_numbers(const char *key, const double *v, int64_t n, Buf *out)
{
    buf_printf(out, ", \"%s\": [", key);
    for (int64_t i = 0; i < n; i++)
        buf_printf(out, "%s%.9g", i > 0 ? ", " : "", v[i]);
    buf_addc(out, ']');
}

static void manifest_tensor(const Artifact *x, const char *name, NodeId node, const GraphInput *in,
                            bool last, Buf *out)
{
    Shape s = x->net->an.shape[node.v];
    buf_add(out, "    {\"name\": ");
    buf_json_string(out, name);
    buf_printf(out, ", \"type\": \"float32\", \"shape\": [\"batch\", %" PRId64, s.c);
    if (!s.flat)
        buf_printf(out, ", %" PRId64 ", %" PRId64, s.h, s.w);
    buf_addc(out, ']');
    if (in != NULL && in->has_norm) {
        int64_t n = s.c < 4 ? s.c : 4;
        manifest_numbers("mean", in->mean, n, out);
        manifest_numbers("std", in->std, n, out);
    }
    if (in != NULL && in->resize > 0)
        buf_printf(out, ", \"resize\": %" PRId64, in->resize);
    if (in != NULL && in->crop > 0)
        buf_printf(out, ", \"crop\": %" PRId64, in->crop);
    buf_printf(out, "}%s\n", last ? "" : ",");
}

static void manifest_target(const Variant *v, Buf *out)
{
    const Native *n = &v->native;
    const char *features = n->api->features(&n->plan.target);
    buf_add(out, "\"target\": {\"triple\": ");
    buf_json_string(out, n->plan.target.triple);
    buf_add(out, ", \"cpu\": ");
    buf_json_string(out, n->plan.target.cpu);
    buf_add(out, ", \"features\": [");
    for (const char *sep = ""; *features != '\0'; sep = ", ") {
        size_t len = strcspn(features, ",");
        buf_printf(out, "%s\"%.*s\"", sep, (int)len, features);
        features += len + (features[len] == ',');
    }
    buf_addc(out, ']');
    if (n->plan.target.kind == TARGET_CUDA) {
        PlanContractions c = plan_contractions(&n->plan);
        buf_printf(out,
                   ", \"dtype\": \"%s\", \"contractions\": %" PRIu32
                   ", \"on_matrix_units\": %" PRIu32,
                   dtype_info[n->plan.target.dtype].name, c.all, c.units);
    }
    buf_addc(out, '}');
}

static void manifest_memory(const Variant *v, const char *sep, Buf *out)
{
    const Plan *p = &v->native.plan;
    buf_printf(out,
               "\"memory\": {\"bytes_per_image\": %" PRId64 ", \"bytes_per_thread\": %" PRId64
               "},%s\"steps\": %u,%s\"kernels\": %u",
               p->arena_floats * 4, p->scratch_floats * 4, sep, p->steps.len, sep, p->kernels.len);
}

static void manifest_weights(const Artifact *x, const Variant *v, Buf *out)
{
    buf_printf(out, "\"weights\": {\"mode\": \"%s\", \"bytes\": %zu, \"xxh64\": \"%016" PRIx64 "\"",
               x->external ? "external" : "embedded", artifact_weight_bytes(x, v),
               v->emit.weights_hash);
    if (x->external) {
        buf_add(out, ", \"file\": ");
        buf_json_string(out, artifact_file(v->paths[FORM_PACKED]));
    }
    buf_add(out, ", \"from\": ");
    buf_json_string(out, x->origin);
    buf_addc(out, '}');
}

static void manifest_files(const char *const *paths, Buf *out)
{
    const char *sep = "";
    buf_add(out, "\"files\": {");
    for (int f = 0; f < FORM_COUNT; f++)
        if (paths[f] != NULL && f != FORM_MANIFEST) {
            buf_printf(out, "%s\"%s\": ", sep, form_info[f].name);
            buf_json_string(out, artifact_file(paths[f]));
            sep = ", ";
        }
    buf_addc(out, '}');
}

static void manifest_variants(const Artifact *x, Buf *out)
{
    buf_add(out, "  \"variants\": [\n");
    for (int i = 0; i < x->count; i++) {
        const Variant *v = &x->variants[i];
        buf_add(out, "    {");
        manifest_target(v, out);
        buf_add(out, ",\n     ");
        manifest_memory(v, " ", out);
        buf_add(out, ",\n     ");
        manifest_weights(x, v, out);
        buf_add(out, ",\n     ");
        manifest_files(v->paths, out);
        buf_printf(out, "}%s\n", i + 1 < x->count ? "," : "");
    }
    buf_add(out, "  ],\n");
}

/* Of a single variant the files are the artefact's own. */
static void manifest_all_files(const Artifact *x, Buf *out)
{
    const char *paths[FORM_COUNT];
    memcpy(paths, x->paths, sizeof paths);
    for (int f = 0; f < FORM_COUNT && x->count == 1; f++)
        if (x->variants[0].paths[f] != NULL)
            paths[f] = x->variants[0].paths[f];
    manifest_files(paths, out);
}

void artifact_manifest(const Artifact *x, Buf *out)
{
    const Net *n = x->net;
    const Graph *g = &n->elab->graph;
    const Variant *least = variant_least(x);
    buf_add(out, "{\n  \"schema\": 1,\n  \"net\": ");
    buf_json_string(out, g->name);
    buf_printf(out, ",\n  \"prefix\": \"%s\",\n  \"compiler\": ", x->prefix);
    buf_json_string(out, least->emit.compiler);
    buf_printf(out, ",\n  \"abi\": %d,\n  ", CNNRT_ABI_VERSION);
    manifest_target(least, out);
    buf_printf(out, ",\n  \"parameters\": %" PRId64 ",\n  \"macs\": %" PRId64 ",\n", n->an.params,
               n->an.macs);
    buf_printf(out, "  \"max_batch\": %d,\n  \"inputs\": [\n", least->emit.max_batch);
    for (uint32_t i = 0; i < g->ins.len; i++)
        manifest_tensor(x, g->ins.at[i].name, g->ins.at[i].node, &g->ins.at[i], i + 1 == g->ins.len,
                        out);
    buf_add(out, "  ],\n  \"outputs\": [\n");
    for (uint32_t i = 0; i < g->outs.len; i++)
        manifest_tensor(x, g->outs.at[i].name, g->outs.at[i].node, NULL, i + 1 == g->outs.len, out);
    buf_add(out, "  ],\n  ");
    manifest_memory(least, "\n  ", out);
    buf_add(out, ",\n  ");
    manifest_weights(x, least, out);
    buf_add(out, ",\n");
    if (x->count > 1)
        manifest_variants(x, out);
    if (x->step != NULL)
        artifact_training_manifest(x, out);
    if (artifact_is_cuda(x))
        artifact_launches(x, out);
    buf_add(out, "  ");
    manifest_all_files(x, out);
    buf_add(out, "\n}\n");
}
