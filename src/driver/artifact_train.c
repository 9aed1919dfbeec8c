/* What the header and the manifest of a library that trains say of it. */
#include "driver/artifact.h"
#include <inttypes.h>

static const char types[] =
    "typedef struct CnnrtTrainer CnnrtTrainer;\n\n"
    "/* Where a training is. updates: of the parameters, so far; passes: batches seen, of which\n"
    " * dropout's random numbers depend, as on the seed. epoch and batch are the caller's own, "
    "kept\n"
    " * in checkpoints for `cnnc train --resume`. */\n"
    "typedef struct CnnrtCounters {\n    int64_t updates, passes, epoch, batch;\n"
    "    uint64_t seed;\n} CnnrtCounters;\n\n"
    "/* A parameter or running statistic: dims[0, ndim), count values. They may be read and "
    "written\n"
    " * between calls. gradient: of the last pass, NULL for statistics; slot: the optimizer's,\n"
    " * average: the running mean, NULL when there is none. */\n"
    "typedef struct CnnrtValues {\n    int ndim, trained;\n    int64_t dims[4], count;\n"
    "    float *value, *gradient, *slot[2], *average;\n} CnnrtValues;\n";

void artifact_training_types(Buf *out)
{
    buf_add(out, types);
}

static void declare(Buf *out, const char *text, const char *prefix)
{
    for (const char *c = text; *c != '\0'; c++)
        if (*c == '@')
            buf_add(out, prefix);
        else
            buf_addc(out, *c);
}

void artifact_training_sizes(const Artifact *x, Buf *out)
{
    const char *p = x->prefix;
    const Plan *step = &x->step->code.plan;
    const Graph *g = &x->step->graph.g;
    buf_printf(out,
               "#define %s_TARGETS %u\n#define %s_LOSSES %u\n#define %s_ACCUMULATE %" PRId64
               "\n#define %s_AVERAGED %d\n",
               p, x->step->graph.targets, p, x->step->losses, p, step->state.optimizer.accumulate,
               p, step->state.average >= 0);
    for (uint32_t i = 0; i < x->step->graph.targets; i++) {
        const GraphInput *in = &g->ins.at[g->ins.len - x->step->graph.targets + i];
        Shape s = x->step->graph.shape[in->node.v];
        buf_printf(out, "/* \"%s\": float32 [batch][%" PRId64 "]", in->name, s.c);
        if (s.h > 1 || s.w > 1)
            buf_printf(out, "[%" PRId64 "][%" PRId64 "]", s.h, s.w);
        buf_printf(out, " */\n#define %s_TARGET%u_FLOATS %" PRId64 "\n", p, i, shape_count(s));
    }
}

void artifact_training_functions(const Artifact *x, Buf *out)
{
    static const char functions[] =
        "\n/* Training. A trainer owns parameters, what the optimizer keeps, a workspace and a "
        "team "
        "of\n * threads (0 = CNNC_THREADS or the processors). initial: NULL when embedded. One "
        "call "
        "at a\n * time per trainer; all but create, save and load allocate nothing. */\n"
        "int @_train_create(CnnrtTrainer **out, const float *initial, int threads);\n"
        "void @_train_destroy(CnnrtTrainer *trainer);\n"
        "/* A pass over a batch and, after @_ACCUMULATE of them, an update with this rate. loss "
        "(may be\n * NULL): the mean of the weighted losses. */\n"
        "int @_train_step(CnnrtTrainer *trainer, int batch, const float *const *in,\n"
        "    const float *const *targets, double lr, double *loss);\n"
        "/* A pass without an update; running statistics move. */\n"
        "int @_train_gradients(CnnrtTrainer *trainer, int batch, const float *const *in,\n"
        "    const float *const *targets, double *loss);\n"
        "/* Output `head` of the last pass; NULL when there is no such head. */\n"
        "const float *@_train_output(const CnnrtTrainer *trainer, int head);\n"
        "/* Inference with the parameters as they are; averaged: with their running mean. */\n"
        "int @_train_run(CnnrtTrainer *trainer, int batch, const float *const *in,\n"
        "    float *const *out, int averaged);\n"
        "/* What @_create takes as weights. Its runs pack the parameters anew: one at a time, and "
        "not\n * during a call of the trainer. NULL when there are no running means. */\n"
        "const float *@_train_parameters(const CnnrtTrainer *trainer, int averaged);\n"
        "int @_train_find(CnnrtTrainer *trainer, const char *name, CnnrtValues *out);\n"
        "int @_train_counters(const CnnrtTrainer *trainer, CnnrtCounters *out);\n"
        "int @_train_set_counters(CnnrtTrainer *trainer, const CnnrtCounters *counters);\n"
        "/* Checkpoints: the safetensors files of `cnnc train`. message: 1024 bytes, or NULL. */\n"
        "int @_train_save(CnnrtTrainer *trainer, const char *path, char *message);\n"
        "int @_train_load(CnnrtTrainer *trainer, const char *path, char *message);\n"
        "const CnnrtModel *@_train_model(void); /* with the table of parameters, for cnnrt.h */\n";
    static const char maps[] =
        "/* Maps @_WEIGHTS_FILE, the initial parameters; unmap it after create. */\n"
        "int @_train_weights_map(const char *path, const float **out);\n"
        "void @_train_weights_unmap(const float *initial);\n";
    declare(out, functions, x->prefix);
    if (x->external)
        declare(out, maps, x->prefix);
}

void artifact_training_manifest(const Artifact *x, Buf *out)
{
    const Plan *p = &x->step->code.plan;
    const PlanState *s = &p->state;
    buf_printf(out,
               "  \"training\": {\"optimizer\": \"%s\", \"accumulate\": %" PRId64
               ", \"averaged\": %s,\n    \"losses\": %u, \"targets\": %u, \"tensors\": %u, "
               "\"steps\": %u,\n    \"state_bytes\": %" PRId64 ", \"bytes_per_image\": %" PRId64
               ", \"bytes_per_thread\": %" PRId64 "},\n",
               optim_name[x->step->optim.kind], s->optimizer.accumulate,
               s->average >= 0 ? "true" : "false", x->step->losses, x->step->graph.targets,
               s->params.len, p->steps.len, p->weight_floats * 4, p->arena_floats * 4,
               p->scratch_floats * 4);
}
