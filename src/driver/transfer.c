/* refine --transfer: the weights of a network, as far as they fit its refinement. */
#include "driver/refined.h"
#include "driver/parameters.h"
#include "support/fs.h"
#include <inttypes.h>
#include <string.h>

/* A layer with parameters, in topological order. */
typedef struct Layer {
    uint32_t node;
    int count;
    ParamSpec spec[PARAM_MAX];
    const char *stage; /* or head */
    int match;         /* index in the other network's list, or -1 */
} Layer;
typedef VEC(Layer) LayerList;

static const char *stage_of(const Net *n, uint32_t node)
{
    const Elab *e = n->elab;
    uint32_t inst = e->origins.at[e->graph.nodes.at[node].origin].inst;
    while (inst != 0 && e->insts.at[inst].kind != INST_STAGE && e->insts.at[inst].kind != INST_HEAD)
        inst = e->insts.at[inst].parent;
    return inst != 0 ? e->insts.at[inst].name : "";
}

static void list_layers(Run *r, const Net *n, LayerList *out)
{
    for (uint32_t v = 1; v < n->elab->graph.nodes.len; v++) {
        Layer x = {.node = v, .match = -1};
        if (!n->an.live[v])
            continue;
        x.count = params_of(&n->elab->graph, (NodeId){v}, n->an.shape, x.spec);
        if (x.count == 0)
            continue;
        x.stage = stage_of(n, v);
        vec_push(&r->net_arena, out, x);
    }
}

static bool fits(const Net *a, const Layer *x, const Net *b, const Layer *y)
{
    if (x->count != y->count ||
        a->elab->graph.nodes.at[x->node].op != b->elab->graph.nodes.at[y->node].op)
        return false;
    for (int i = 0; i < x->count; i++)
        if (x->spec[i].ndim != y->spec[i].ndim ||
            memcmp(x->spec[i].dims, y->spec[i].dims,
                   (size_t)x->spec[i].ndim * sizeof x->spec[i].dims[0]) != 0)
            return false;
    return true;
}

/* The longest common subsequence of two runs of layers: a pooling that moved shifts the numbers in
 * names, but not the order. */
static void align(Run *r, const Net *a, Layer *x, uint32_t n, const Net *b, Layer *y, uint32_t m,
                  uint32_t x0, uint32_t y0)
{
    uint32_t *best = arena_new_n(&r->net_arena, uint32_t, (size_t)(n + 1) * (m + 1));
#define BEST(I, J) best[(size_t)(I) * (m + 1) + (J)]
    for (uint32_t i = n; i-- > 0;)
        for (uint32_t j = m; j-- > 0;) {
            uint32_t skip = BEST(i + 1, j) > BEST(i, j + 1) ? BEST(i + 1, j) : BEST(i, j + 1);
            uint32_t take = fits(a, &x[i], b, &y[j]) ? BEST(i + 1, j + 1) + 1 : 0;
            BEST(i, j) = take > skip ? take : skip;
        }
    for (uint32_t i = 0, j = 0; i < n && j < m;) {
        if (fits(a, &x[i], b, &y[j]) && BEST(i, j) == BEST(i + 1, j + 1) + 1) {
            x[i].match = (int)(y0 + j);
            y[j].match = (int)(x0 + i);
            i++;
            j++;
        } else if (BEST(i + 1, j) >= BEST(i, j + 1)) {
            i++;
        } else {
            j++;
        }
    }
#undef BEST
}

static uint32_t run_of(const LayerList *l, uint32_t from)
{
    uint32_t n = 0;
    while (from + n < l->len && strcmp(l->at[from + n].stage, l->at[from].stage) == 0)
        n++;
    return n;
}

/* Stage by stage, by name. */
static void align_stages(Run *r, const Net *old, LayerList *from, const Net *new, LayerList *to)
{
    for (uint32_t i = 0; i < from->len; i += run_of(from, i))
        for (uint32_t j = 0; j < to->len; j += run_of(to, j))
            if (strcmp(from->at[i].stage, to->at[j].stage) == 0)
                align(r, old, &from->at[i], run_of(from, i), new, &to->at[j], run_of(to, j), i, j);
}

static const char *param_name(Run *r, const Net *n, const Layer *x, int i)
{
    return arena_printf(&r->net_arena, "%s.%s", n->elab->graph.nodes.at[x->node].name,
                        x->spec[i].suffix);
}

static void dims_text(const ParamSpec *s, Buf *out)
{
    for (int i = 0; i < s->ndim; i++)
        buf_printf(out, "%s%" PRId64, i > 0 ? "x" : "", s->dims[i]);
}

/* Values of the old network take the place of initial ones; the rest is listed. */
static void take_over(Run *r, const Net *old, const LayerList *from, const Parameters *values,
                      const Net *new, const LayerList *to, Parameters *out, Buf *said)
{
    uint32_t carried = 0, total = 0;
    for (uint32_t i = 0; i < to->len; i++) {
        const Layer *x = &to->at[i];
        for (int k = 0; k < x->count; k++, total++) {
            const char *name = param_name(r, new, x, k);
            const WeightTensor *mine = weights_find(&out->weights, name), *theirs = NULL;
            if (x->match >= 0)
                theirs = weights_find(&values->weights, param_name(r, old, &from->at[x->match], k));
            if (mine != NULL && theirs != NULL) {
                WeightTensor *w = &out->weights.all.at[mine - out->weights.all.at];
                w->data = theirs->data;
                w->recipe = theirs->recipe;
                carried++;
                continue;
            }
            buf_printf(said, "new   %-44s ", name);
            dims_text(&x->spec[k], said);
            buf_addc(said, '\n');
        }
    }
    for (uint32_t i = 0; i < from->len; i++)
        for (int k = 0; from->at[i].match < 0 && k < from->at[i].count; k++) {
            buf_printf(said, "left  %-44s ", param_name(r, old, &from->at[i], k));
            dims_text(&from->at[i].spec[k], said);
            buf_addc(said, '\n');
        }
    front_note(r, "%u of %u parameters carried over%s", carried, total,
               carried < total ? "; new ones are initialised with seed 1" : "");
}

int refined_transfer(Run *r, const Net *old, const RefineBase *base, const RefineCandidate *c,
                     const char *from, const char *to)
{
    Parameters values = {0}, out = {0};
    LayerList olds = {0}, news = {0};
    Net new;
    Buf said = {0};
    const char *err;
    int code = parameters_load(&values, r, old, from);
    if (code == EXIT_FINE)
        code = refined_reopen(r, &new, base, c);
    if (code == EXIT_FINE)
        code = parameters_init(&out, r, &new, 1);
    if (code == EXIT_FINE) {
        list_layers(r, old, &olds);
        list_layers(r, &new, &news);
        align_stages(r, old, &olds, &new, &news);
        take_over(r, old, &olds, &values, &new, &news, &out, &said);
        if (!weights_write_safetensors(&out.weights, to, &err))
            code = front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", to, err);
    }
    if (code == EXIT_FINE)
        code = front_write(r, NULL, &said);
    else
        buf_free(&said);
    parameters_close(&out);
    parameters_close(&values);
    return code;
}
