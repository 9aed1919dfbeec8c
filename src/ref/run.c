/* Runs one operator, or a whole graph in topological order, freeing what is no longer needed. */
#include "ref/ref_ops.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static RefFn *const function_of[OP_COUNT] = {
#define OP(ID, ...) [OP_##ID] = ref_##ID,
#include "ops/ops.def"
};

static _Thread_local char message[320];

__attribute__((format(printf, 2, 3))) static bool fail(const char **err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message, sizeof message, fmt, ap);
    va_end(ap);
    *err = message;
    return false;
}

static bool tensor_new(RefTensor *t, Shape s, int64_t batch)
{
    int64_t bytes;
    t->shape = s;
    t->data = NULL;
    if (batch < 1 || __builtin_mul_overflow(shape_count(s), batch, &bytes) ||
        __builtin_mul_overflow(bytes, (int64_t)sizeof *t->data, &bytes))
        return false;
    t->data = malloc((size_t)bytes);
    return t->data != NULL;
}

/* How many images a node's value has. */
static int64_t images(const Graph *g, NodeId n, int64_t batch)
{
    return (op_info[graph_node(g, n)->op].flags & OPF_REDUCED) != 0 ? 1 : batch;
}

static bool apply(const RefRun *r, NodeId n, const RefTensor *ins, const float *const *params,
                  RefTensor *out)
{
    const Node *node = graph_node(r->g, n);
    if (!tensor_new(out, r->shape[n.v], images(r->g, n, r->batch)))
        return false;
    RefCall c = {.g = r->g,
                 .n = n,
                 .owner = graph_owner(r->g, n),
                 .in = ins,
                 .nin = node->in_count,
                 .param = params,
                 .batch = r->batch,
                 .seed = r->seed,
                 .step = r->step,
                 .out = out};
    function_of[node->op](&c);
    return true;
}

bool ref_op(const Graph *g, NodeId n, const Shape *shape, const RefTensor *ins,
            const float *const *params, int64_t batch, RefTensor *out)
{
    RefRun r = {.g = g, .shape = shape, .batch = batch};
    return apply(&r, n, ins, params, out);
}

typedef struct Walk {
    const RefRun *r;
    const float *const *inputs;
    RefTensor *value; /* by node; data NULL before it is computed and after its last use */
    uint32_t *uses;   /* readers to come, outputs included; 0 = nothing depends on the node */
    RefTensor *operands;
    const char **err;
} Walk;

/* Counts readers backwards, so that nodes no output depends on count for nothing. */
static void count_uses(Walk *w)
{
    const Graph *g = w->r->g;
    for (uint32_t i = 0; i < g->outs.len; i++)
        w->uses[g->outs.at[i].node.v]++;
    for (uint32_t v = g->nodes.len; v-- > 1;)
        for (uint32_t k = 0; w->uses[v] > 0 && k < g->nodes.at[v].in_count; k++)
            w->uses[graph_in(g, (NodeId){v}, k).v]++;
}

static void release(Walk *w, NodeId n)
{
    if (--w->uses[n.v] > 0)
        return;
    free(w->value[n.v].data);
    w->value[n.v].data = NULL;
}

static bool find_params(Walk *w, NodeId n, const float *params[PARAM_MAX])
{
    NodeId owner = graph_owner(w->r->g, n);
    const Node *node = graph_node(w->r->g, owner);
    ParamSpec spec[PARAM_MAX];
    int count = params_of(w->r->g, owner, w->r->shape, spec);
    for (int i = 0; i < count; i++) {
        Buf name = {0};
        buf_printf(&name, "%s.%s", node->name, spec[i].suffix);
        params[i] = buf_ok(&name) ? w->r->params.get(w->r->params.ctx, name.at, &spec[i]) : NULL;
        buf_free(&name);
        if (params[i] == NULL)
            return fail(w->err, "parameter %s.%s is missing", node->name, spec[i].suffix);
    }
    return true;
}

/* The value bound to an input node, as its operand. */
static bool bind_input(Walk *w, NodeId n)
{
    const Graph *g = w->r->g;
    const float *from = NULL;
    for (uint32_t i = 0; i < g->ins.len; i++)
        if (g->ins.at[i].node.v == n.v)
            from = w->inputs[i];
    if (from == NULL)
        return fail(w->err, "input %s is missing", graph_node(g, n)->name);
    if (!tensor_new(&w->operands[0], w->r->shape[n.v], w->r->batch))
        return fail(w->err, "out of memory at %s", graph_node(g, n)->name);
    int64_t count = w->r->batch * shape_count(w->r->shape[n.v]);
    for (int64_t i = 0; i < count; i++)
        w->operands[0].data[i] = from[i];
    return true;
}

static bool contraction(Op op)
{
    return op == OP_CONV || op == OP_CONVT || op == OP_DENSE || op == OP_CONV_DX ||
           op == OP_CONVT_DX || op == OP_DENSE_DX || op == OP_CONV_DW || op == OP_CONVT_DW ||
           op == OP_DENSE_DW;
}

/* What a contraction multiplies, rounded, in arrays of its own; its bias is not multiplied. */
typedef struct Rounded {
    RefTensor in[2];
    float *weight;
} Rounded;

static void drop_rounded(Rounded *t)
{
    free(t->in[0].data);
    free(t->in[1].data);
    free(t->weight);
}

static bool round_operands(const Walk *w, NodeId n, const float *params[PARAM_MAX], Rounded *t)
{
    const RefRun *r = w->r;
    ParamSpec spec[PARAM_MAX];
    int count = params_of(r->g, graph_owner(r->g, n), r->shape, spec);
    for (uint32_t k = 0; k < graph_node(r->g, n)->in_count && k < 2; k++) {
        const RefTensor *x = &w->operands[k];
        NodeId from = graph_in(r->g, n, k);
        int64_t values = images(r->g, from, r->batch) * shape_count(x->shape);
        if (!tensor_new(&t->in[k], x->shape, images(r->g, from, r->batch)))
            return false;
        for (int64_t i = 0; i < values; i++)
            t->in[k].data[i] = r->operand(r->operand_ctx, n, x->data[i]);
        w->operands[k] = t->in[k];
    }
    int64_t weights = count > 0 ? 1 : 0;
    for (int i = 0; count > 0 && i < spec[0].ndim; i++)
        weights *= spec[0].dims[i];
    if (weights == 0)
        return true;
    t->weight = malloc((size_t)weights * sizeof *t->weight);
    for (int64_t i = 0; t->weight != NULL && i < weights; i++)
        t->weight[i] = (float)r->operand(r->operand_ctx, n, params[0][i]);
    params[0] = t->weight;
    return t->weight != NULL;
}

static bool run_node(Walk *w, NodeId n)
{
    const RefRun *r = w->r;
    const Node *node = graph_node(r->g, n);
    const float *params[PARAM_MAX] = {0};
    if (node->op == OP_INPUT ? !bind_input(w, n) : !find_params(w, n, params))
        return false;
    for (uint32_t k = 0; k < node->in_count; k++)
        w->operands[k] = w->value[graph_in(r->g, n, k).v];
    const float *used[PARAM_MAX];
    Rounded rounded = {0};
    memcpy(used, params, sizeof used);
    bool ok = r->operand == NULL || !contraction(node->op) || round_operands(w, n, used, &rounded);
    ok = ok && apply(r, n, w->operands, used, &w->value[n.v]);
    drop_rounded(&rounded);
    if (node->op == OP_INPUT)
        free(w->operands[0].data);
    for (int i = 0; i < PARAM_MAX; i++)
        param_release(&r->params, params[i]);
    for (uint32_t k = 0; k < node->in_count; k++)
        release(w, graph_in(r->g, n, k));
    if (!ok)
        return fail(w->err, "out of memory at %s", node->name);
    if (r->after != NULL && !r->after(r->after_ctx, n, &w->value[n.v]))
        return fail(w->err, "stopped after %s", node->name);
    return true;
}

/* The last output of a node takes its array, earlier ones a copy. */
static bool hand_over(Walk *w, double **outputs)
{
    const Graph *g = w->r->g;
    for (uint32_t i = 0; i < g->outs.len; i++) {
        NodeId n = g->outs.at[i].node;
        RefTensor copy;
        if (w->uses[n.v] == 1) {
            outputs[i] = w->value[n.v].data;
            w->value[n.v].data = NULL;
            continue;
        }
        int64_t count = images(g, n, w->r->batch);
        if (!tensor_new(&copy, w->value[n.v].shape, count))
            return fail(w->err, "out of memory");
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): heads are computed */
        memcpy(copy.data, w->value[n.v].data,
               (size_t)(count * shape_count(copy.shape)) * sizeof *copy.data);
        outputs[i] = copy.data;
        release(w, n);
    }
    return true;
}

static bool walk(Walk *w, double **outputs)
{
    count_uses(w);
    for (uint32_t v = 1; v < w->r->g->nodes.len; v++)
        if (w->uses[v] > 0 && !run_node(w, (NodeId){v}))
            return false;
    return hand_over(w, outputs);
}

bool ref_run(const RefRun *r, const float *const *inputs, double **outputs, const char **err)
{
    const Graph *g = r->g;
    uint32_t most = 1;
    for (uint32_t v = 1; v < g->nodes.len; v++)
        most = g->nodes.at[v].in_count > most ? g->nodes.at[v].in_count : most;
    Walk w = {.r = r,
              .inputs = inputs,
              .err = err,
              .value = calloc(g->nodes.len, sizeof *w.value),
              .uses = calloc(g->nodes.len, sizeof *w.uses),
              .operands = calloc(most, sizeof *w.operands)};
    for (uint32_t i = 0; i < g->outs.len; i++)
        outputs[i] = NULL;
    bool ok = w.value != NULL && w.uses != NULL && w.operands != NULL;
    ok = ok ? walk(&w, outputs) : fail(err, "out of memory");
    for (uint32_t v = 1; w.value != NULL && v < g->nodes.len; v++)
        free(w.value[v].data);
    for (uint32_t i = 0; !ok && i < g->outs.len; i++) {
        free(outputs[i]);
        outputs[i] = NULL;
    }
    free(w.value);
    free(w.uses);
    free(w.operands);
    return ok;
}
