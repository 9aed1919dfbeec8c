/* pass: one pass over a .graph file, printed; what pass tests and people who write passes use. */
#include "driver/commands.h"
#include "driver/native.h"
#include "support/fs.h"
#include "transform/grad.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef enum Pass {
#define PASS(ID, NAME, NEEDS, DOC) PASS_##ID,
#include "driver/pass.def"
    PASS_COUNT
} Pass;
static const char *const pass_name[PASS_COUNT] = {
#define PASS(ID, NAME, NEEDS, DOC) [PASS_##ID] = NAME,
#include "driver/pass.def"
};
enum { GRAPH_LIMIT = 64 << 20 };

static int list_passes(Run *r)
{
    Buf out = {0};
    buf_printf(&out, "%-8s %-10s %s\n", "pass", "needs", "does");
#define PASS(ID, NAME, NEEDS, DOC) buf_printf(&out, "%-8s %-10s %s\n", NAME, NEEDS, DOC);
#include "driver/pass.def"
    return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
}

static void print_shape(const Analysis *an, uint32_t v, Buf *out)
{
    Shape s = an->shape[v];
    buf_printf(out, s.flat ? " %" PRId64 : " %" PRId64 "x%" PRId64 "x%" PRId64, s.c, s.h, s.w);
}

static void print_field(const Analysis *an, uint32_t v, Buf *out)
{
    for (int axis = 0; axis < 2; axis++) {
        const RfAxis *a = &an->rf[v].axis[axis];
        buf_add(out, axis == 0 ? " h" : " w");
        for (uint32_t k = 0; k < a->n; k++) {
            const RfEntry *e = &a->e[k];
            buf_printf(out, " %" PRId64 "..%" PRId64 "/%" PRId64, e->r_min, e->r_max, e->s_num);
            if (e->s_den != 1)
                buf_printf(out, ":%" PRId64, e->s_den);
        }
        buf_add(out, a->global ? " global" : "");
    }
    if (an->verdict[v].v != VERDICT_NONE)
        buf_printf(out, " %s", verdict_name[an->verdict[v].v]);
}

static void print_cost(const Analysis *an, uint32_t v, Buf *out)
{
    const NodeCost *c = &an->cost[v];
    buf_printf(out, " params=%" PRId64 " macs=%" PRId64 " bytes=%" PRId64, c->params, c->macs,
               c->act_bytes);
}

/* One line a node, under its id and name. */
static void print_nodes(const Analysis *an, void (*print)(const Analysis *, uint32_t, Buf *),
                        Buf *out)
{
    for (uint32_t v = 1; v < an->g->nodes.len; v++) {
        const Node *n = &an->g->nodes.at[v];
        buf_printf(out, "%%%" PRIu32 " %s \"%s\"", v, op_info[n->op].name, n->name);
        print(an, v, out);
        buf_addc(out, '\n');
    }
}

static int print_fused(Run *r, const Analysis *an, Pass pass, Buf *out)
{
    Native x = {0};
    Target target;
    fuse_run(&x.fusion, &r->net_arena, an);
    const char *bad = fuse_verify(&x.fusion);
    if (bad != NULL)
        return front_fail(r, front_blame(EXIT_INTERNAL, bad), "fusion made an invalid grouping: %s",
                          bad);
    if (pass == PASS_FUSE) {
        fuse_print(&x.fusion, out);
        return EXIT_FINE;
    }
    int code = native_open(&x, r, cli_get(r->cli, OPT_TARGET_CPU), &target);
    if (code != EXIT_FINE)
        return code;
    bad = plan_build(&x.plan, &r->net_arena, an, &x.fusion, &target);
    if (bad != NULL)
        return front_fail(r, EXIT_LIMIT, "'%s' cannot be planned: %s", an->g->name, bad);
    bad = plan_verify(&x.plan);
    if (bad != NULL)
        return front_fail(r, front_blame(EXIT_INTERNAL, bad), "planning made an invalid plan: %s",
                          bad);
    plan_print(&x.plan, out);
    return EXIT_FINE;
}

/* The primary head's cross entropy stands for any loss. */
static int print_grad(Run *r, const Analysis *an, Buf *out)
{
    TrainGraph t;
    TrainLoss loss = {.kind = LOSS_CROSS_ENTROPY, .weight = 1};
    while (!an->g->outs.at[loss.head].primary)
        loss.head++;
    const char *bad = grad_build(&t, &r->net_arena, an, &loss, 1);
    if (bad != NULL)
        return front_fail(r, front_blame(EXIT_REFUSED, bad), "'%s' cannot be trained: %s",
                          an->g->name, bad);
    graph_print(&t.g, out);
    return EXIT_FINE;
}

static int read_graph(Run *r, const char *path, Graph *g)
{
    size_t len;
    const char *err;
    char *text = fs_read(path, GRAPH_LIMIT, &len, &err);
    if (text == NULL)
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    err = graph_read(g, &r->net_arena, text, len);
    free(text);
    if (err == NULL)
        err = graph_verify(g);
    return err == NULL ? EXIT_FINE
                       : front_fail(r, front_blame(EXIT_REFUSED, err), "%s: %s", path, err);
}

static int run_pass(Run *r, Pass pass, const Graph *g, Buf *out)
{
    Analysis an;
    NodeId at;
    ShapeError err;
    if (pass == PASS_READ) {
        graph_print(g, out);
        return EXIT_FINE;
    }
    if (!analysis_run(&r->net_arena, g, &an, &at, &err))
        return front_fail(r, EXIT_REFUSED, "'%s': %s", graph_node(g, at)->name, err.text);
    if (pass == PASS_GRAD)
        return print_grad(r, &an, out);
    if (pass == PASS_FUSE || pass == PASS_PLAN)
        return print_fused(r, &an, pass, out);
    print_nodes(&an,
                pass == PASS_SHAPE ? print_shape
                : pass == PASS_RF  ? print_field
                                   : print_cost,
                out);
    return EXIT_FINE;
}

int command_pass(Run *r)
{
    Graph g = {0};
    Buf out = {0};
    int pass = 0;
    if (r->cli->operand_count == 0)
        return list_passes(r);
    const char *name = r->cli->operands[0];
    while (pass < PASS_COUNT && strcmp(pass_name[pass], name) != 0)
        pass++;
    if (pass == PASS_COUNT) {
        const char *near = intern_nearest(name, pass_name, PASS_COUNT);
        return front_fail(r, EXIT_USAGE, "unknown pass '%s'%s%s%s; 'cnnc pass' lists them", name,
                          near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    }
    if (r->cli->operand_count != 2)
        return front_fail(r, EXIT_USAGE, "pass takes a pass and one .graph file");
    int code = read_graph(r, r->cli->operands[1], &g);
    if (code == EXIT_FINE)
        code = run_pass(r, (Pass)pass, &g, &out);
    if (code == EXIT_FINE)
        return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
    buf_free(&out);
    return code;
}
