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

static void manifest_target(const Artifact *x, Buf *out)
{
    const Native *n = x->native;
    const char *features = n->api->features(&n->plan.target);
    buf_add(out, "  \"target\": {\"triple\": ");
    buf_json_string(out, n->plan.target.triple);
    buf_add(out, ", \"cpu\": ");
    buf_json_string(out, n->plan.target.cpu);
    buf_add(out, ", \"features\": [");
    for (const char *sep = ""; *features != '\0'; sep = ", ") {
        size_t len = strcspn(features, ",");
        buf_printf(out, "%s\"%.*s\"", sep, (int)len, features);
        features += len + (features[len] == ',');
    }
    buf_add(out, "]},\n");
}

static void manifest_weights(const Artifact *x, Buf *out)
{
    buf_printf(
        out, "  \"weights\": {\"mode\": \"%s\", \"bytes\": %zu, \"xxh64\": \"%016" PRIx64 "\"",
        x->external ? "external" : "embedded", artifact_weight_bytes(x), x->emit->weights_hash);
    if (x->external) {
        buf_add(out, ", \"file\": ");
        buf_json_string(out, artifact_file(x->paths[FORM_PACKED]));
    }
    buf_add(out, ", \"from\": ");
    buf_json_string(out, x->origin);
    buf_add(out, "},\n");
}

static void manifest_files(const Artifact *x, Buf *out)
{
    const char *sep = "";
    buf_add(out, "  \"files\": {");
    for (int f = 0; f < FORM_COUNT; f++)
        if (x->paths[f] != NULL && f != FORM_MANIFEST) {
            buf_printf(out, "%s\"%s\": ", sep, form_info[f].name);
            buf_json_string(out, artifact_file(x->paths[f]));
            sep = ", ";
        }
    buf_add(out, "}\n");
}

void artifact_manifest(const Artifact *x, Buf *out)
{
    const Net *n = x->net;
    const Graph *g = &n->elab->graph;
    const Plan *p = &x->native->plan;
    buf_add(out, "{\n  \"schema\": 1,\n  \"net\": ");
    buf_json_string(out, g->name);
    buf_printf(out, ",\n  \"prefix\": \"%s\",\n  \"compiler\": ", x->emit->prefix);
    buf_json_string(out, x->emit->compiler);
    buf_printf(out, ",\n  \"abi\": %d,\n", CNNRT_ABI_VERSION);
    manifest_target(x, out);
    buf_printf(out, "  \"parameters\": %" PRId64 ",\n  \"macs\": %" PRId64 ",\n", n->an.params,
               n->an.macs);
    buf_printf(out, "  \"max_batch\": %d,\n  \"inputs\": [\n", x->emit->max_batch);
    for (uint32_t i = 0; i < g->ins.len; i++)
        manifest_tensor(x, g->ins.at[i].name, g->ins.at[i].node, &g->ins.at[i], i + 1 == g->ins.len,
                        out);
    buf_add(out, "  ],\n  \"outputs\": [\n");
    for (uint32_t i = 0; i < g->outs.len; i++)
        manifest_tensor(x, g->outs.at[i].name, g->outs.at[i].node, NULL, i + 1 == g->outs.len, out);
    buf_printf(out,
               "  ],\n  \"memory\": {\"bytes_per_image\": %" PRId64
               ", \"bytes_per_thread\": %" PRId64 "},\n  \"steps\": %u,\n  \"kernels\": %u,\n",
               p->arena_floats * 4, p->scratch_floats * 4, p->steps.len, p->kernels.len);
    if (x->step != NULL)
        artifact_training_manifest(x, out);
    manifest_weights(x, out);
    manifest_files(x, out);
    buf_add(out, "}\n");
}
