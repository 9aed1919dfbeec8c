/* The train section of a net, evaluated with its parameters. */
#include "elab/elaborator.h"
#include "elab/train_table.h"
#include <inttypes.h>
#include <string.h>

typedef struct TrainEval {
    Elaborator *el;
    Frame *frame; /* of the net */
    TrainSpec *s;
} TrainEval;

static Span span_of(const TrainEval *t, AstId n)
{
    return node_at(t->frame->module, n)->span;
}

/* `what`: "epochs", "lr of sgd". */
static bool in_range(const TrainEval *t, const char *what, SectionRangeId range, double def,
                     double v, Span span)
{
    const SectionRange *r = &section_range[range];
    Diags *diags = &t->el->s->diags;
    Buf value = {0}, other = {0};
    if (section_in_range(range, v))
        return true;
    buf_real(&value, v);
    buf_real(&other, def);
    if (!buf_ok(&value) || !buf_ok(&other)) {
        buf_free(&value);
        buf_free(&other);
        arena_give_up(t->el->a, 0);
    }
    uint32_t d = diag(diags, E_RANGE, span, what, r->text, value.at);
    diag_help(diags, d, SPAN_NONE, "%s", r->help);
    if (!isnan(def))
        diag_help(diags, d, SPAN_NONE, "left out, it is %s", other.at);
    buf_free(&value);
    buf_free(&other);
    return false;
}

/* A number of the given type into its field. */
static bool eval_number(const TrainEval *t, AstId n, SectionValue type, const char *what,
                        SectionRangeId range, double def, void *field)
{
    static const TypeKind types[] = {[SV_INT] = TY_INT, [SV_REAL] = TY_REAL, [SV_BOOL] = TY_BOOL};
    Value v = eval_as(t->el, t->frame, n, (Type){types[type], false});
    if (v.kind == V_POISON)
        return false;
    double x = v.kind == V_BOOL ? v.b : value_number(&v);
    if (!in_range(t, what, range, def, x, span_of(t, n)))
        return false;
    train_set_number(field, type, x);
    return true;
}

/* The checker has seen that it names a head, which may stand where the net does not come. */
static bool eval_head(const TrainEval *t, AstId n, LossSpec *loss)
{
    const Graph *g = &t->el->e->graph;
    Sym name = node_at(t->frame->module, n)->sym;
    for (uint32_t i = 0; i < g->outs.len; i++) {
        if (g->outs.at[i].name != name)
            continue;
        loss->head = name;
        loss->output = i;
        return true;
    }
    uint32_t d = diag(&t->el->s->diags, E_UNDEFINED, span_of(t, n), name);
    diag_note(&t->el->s->diags, d, SPAN_NONE,
              "its declaration is in an arm of an if that is not taken");
    return false;
}

static bool eval_text(const TrainEval *t, AstId n, const char *what, const char **field)
{
    Value v = eval_as(t->el, t->frame, n, (Type){TY_STR, false});
    if (v.kind == V_POISON)
        return false;
    *field = v.str;
    if (section_takes(what, v.str))
        return true;
    diag(&t->el->s->diags, E_VALUE, span_of(t, n),
         arena_printf(&t->el->s->arena, "%s cannot be \"%s\"", what, v.str));
    return false;
}

static bool eval_arg(const TrainEval *t, int row, const char *call, AstId n, void *spec)
{
    const SectionRow *r = &section_row[row];
    void *field = train_field(spec, row);
    if (r->value == SV_HEAD)
        return eval_head(t, n, spec);
    if (r->value == SV_STR)
        return eval_text(t, n, r->name, field);
    return eval_number(t, n, r->value, arena_printf(&t->el->s->arena, "%s of %s", r->name, call),
                       r->range, r->def, field);
}

/* A call with its arguments, as the checker has found it, into the spec of its kind. */
static bool eval_args(const TrainEval *t, int call, AstId args, void *spec)
{
    const Module *m = t->frame->module;
    Formal formal[SECTION_ROWS];
    int32_t slot[SECTION_ROWS];
    int n = section_arg_count(call);
    bool ok = true;
    for (int i = 0; i < n; i++)
        formal[i] = (Formal){.name = section_row[call + 1 + i].name};
    Signature sig = {.name = section_row[call].name, .formals = formal, .count = (uint32_t)n};
    if (!args_bind(t->el->s, m, &sig, args, 0, slot))
        return false;
    train_fill(train_call(call), spec);
    for (int i = 0; i < n; i++)
        if (slot[i] >= 0)
            ok = eval_arg(t, call + 1 + i, sig.name,
                          kid_at(m, kid_at(m, args, (uint32_t)slot[i]), 0), spec) &&
                 ok;
    return ok;
}

/* `name` or `name(args)` */
static bool eval_table_call(const TrainEval *t, SectionValue kind, AstId n, void *spec)
{
    const Module *m = t->frame->module;
    bool call = node_at(m, n)->kind == AST_CALL;
    int row = section_find(kind, node_at(m, call ? kid_at(m, n, 0) : n)->sym);
    return row >= 0 && eval_args(t, row, call ? kid_at(m, n, 1) : AST_NIL, spec);
}

static bool too_many(const TrainEval *t, AstId n, const char *what, int limit)
{
    diag(&t->el->s->diags, E_LIMIT, span_of(t, n),
         arena_printf(&t->el->s->arena, "more than %d %s", limit, what));
    return false;
}

/* a + 0.3 * b */
static bool eval_loss(const TrainEval *t, AstId n, double weight)
{
    const Module *m = t->frame->module;
    const AstNode *x = node_at(m, n);
    if (x->kind == AST_BINARY && x->op == BIN_ADD)
        return eval_loss(t, kid_at(m, n, 0), weight) && eval_loss(t, kid_at(m, n, 1), weight);
    if (x->kind == AST_BINARY && x->op == BIN_MUL) {
        double factor;
        AstId left = kid_at(m, n, 0);
        return eval_number(t, left, SV_REAL, "the factor of a loss", RANGE_WEIGHT, NAN, &factor) &&
               in_range(t, "the product of a loss's factors", RANGE_WEIGHT, NAN, weight * factor,
                        span_of(t, left)) &&
               eval_loss(t, kid_at(m, n, 1), weight * factor);
    }
    if (t->s->loss_count == TRAIN_LOSSES)
        return too_many(t, n, "losses", TRAIN_LOSSES);
    LossSpec *loss = &t->s->loss[t->s->loss_count++];
    bool ok = eval_table_call(t, SV_LOSS, n, loss);
    loss->weight = weight;
    return ok;
}

static bool eval_augment(const TrainEval *t, AstId n)
{
    const Module *m = t->frame->module;
    bool chain = node_at(m, n)->kind == AST_CHAIN, ok = true;
    for (uint32_t i = 0; i < (chain ? kid_count(m, n) : 1); i++) {
        AstId step = chain ? kid_at(m, n, i) : n;
        AugmentSpec *a = &t->s->augment[t->s->augment_count];
        if (t->s->augment_count == TRAIN_AUGMENTS)
            return too_many(t, step, "augmentations", TRAIN_AUGMENTS);
        t->s->augment_count++;
        if (node_at(m, step)->kind == AST_STEP) {
            int row = section_find(SV_AUGMENT, node_at(m, kid_at(m, step, 1))->sym);
            ok = row >= 0 && eval_args(t, row, kid_at(m, step, 2), a) && ok;
        } else {
            ok = eval_table_call(t, SV_AUGMENT, step, a) && ok;
        }
    }
    return ok;
}

static bool eval_key(const TrainEval *t, SectionKeyId key, AstId n)
{
    const SectionKey *k = &section_key[key];
    switch (k->value) {
    case SV_LOSS: t->s->loss_count = 0; return eval_loss(t, n, 1);
    case SV_OPTIMIZER: return eval_table_call(t, k->value, n, &t->s->optimizer);
    case SV_SCHEDULE: return eval_table_call(t, k->value, n, &t->s->schedule);
    case SV_AUGMENT: return eval_augment(t, n);
    default:
        return eval_number(t, n, k->value, k->name, k->range, k->def, train_key_field(t->s, key));
    }
}

static SectionKeyId find_key(const char *name)
{
    int k = 0;
    while (k < SECTION_KEYS - 1 &&
           (section_key[k].section != SECTION_TRAIN || strcmp(section_key[k].name, name) != 0))
        k++;
    return (SectionKeyId)k;
}

bool train_evaluate(Elaborator *el, Frame *net)
{
    Elab *e = el->e;
    TrainSpec *s = arena_new(el->a, TrainSpec);
    TrainEval t = {el, net, s};
    uint32_t head = e->graph.outs.len - 1;
    bool ok = true;
    train_defaults(s, e->graph.outs.at[head].name, head);
    s->declared = e->train.len > 0;
    for (uint32_t i = 0; i < e->train.len; i++) {
        const SectionEntry *entry = &e->train.at[i];
        for (uint32_t k = 0; k < i; k++)
            if (e->train.at[k].key == entry->key) { /* in another section of the net */
                diag(&el->s->diags, E_ARG_TWICE, entry->span, entry->key);
                return false;
            }
        ok = eval_key(&t, find_key(entry->key), entry->value) && ok;
    }
    const char *why = ok ? train_spec_check(s) : NULL;
    for (uint32_t i = 0; why != NULL && i < e->train.len; i++)
        if (strcmp(e->train.at[i].key, "optimizer") == 0)
            diag(&el->s->diags, E_VALUE, span_of(&t, e->train.at[i].value),
                 arena_strdup(&el->s->arena, why));
    e->trained = s;
    return ok && why == NULL;
}

/* The last augmentation that sets the size of pictures, or NULL. */
static const AugmentSpec *sizing(const TrainSpec *s)
{
    const AugmentSpec *found = NULL;
    for (uint32_t i = 0; i < s->augment_count; i++)
        if (s->augment[i].size > 0)
            found = &s->augment[i];
    return found;
}

bool train_spec(const Elab *e, TrainSpec *out)
{
    Session *session = e->session;
    *out = *e->trained;
    const AugmentSpec *last = sizing(out);
    const Shape *in = &e->shape[e->graph.ins.at[0].node.v];
    if (last == NULL || (last->size == in->h && last->size == in->w))
        return true;
    Span span = e->net_span;
    for (uint32_t i = 0; i < e->train.len; i++)
        if (strcmp(e->train.at[i].key, "augment") == 0)
            span = node_at(session->modules.at[e->train.at[i].module], e->train.at[i].value)->span;
    uint32_t d = diag(&session->diags, E_SHAPE, span, section_row[train_row(last->kind)].name,
                      arena_printf(&session->arena,
                                   "makes pictures of %" PRId64 "x%" PRId64
                                   ", the input is %" PRId64 "x%" PRId64,
                                   last->size, last->size, in->h, in->w));
    if (in->h == in->w)
        diag_help(&session->diags, d, SPAN_NONE,
                  "where --input may change it, let a parameter of the net be both sizes");
    else
        diag_help(&session->diags, d, SPAN_NONE,
                  "crops are square: leave them out, and pictures are resized to the input");
    return false;
}
