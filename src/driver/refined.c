#include "driver/refined.h"
#include "refine/repair.h"
#include "sema/sema.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int read_word(Run *r, Option option, const char *given, const char *const *words, int count,
                     int *out)
{
    Buf known = {0};
    for (int i = 0; given != NULL && i < count; i++)
        if (strcmp(given, words[i]) == 0) {
            *out = i;
            return EXIT_FINE;
        }
    if (given == NULL)
        return EXIT_FINE;
    for (int i = 0; i < count; i++)
        buf_printf(&known, "%s%s", i == 0 ? "" : i + 1 == count ? " or " : ", ", words[i]);
    int code = front_fail(r, EXIT_USAGE, "--%s takes %s, not '%s'", opt_info[option].name,
                          known.at != NULL ? known.at : "", given);
    buf_free(&known);
    return code;
}

/* "300M", "1.2G", "120%" of the original; *out stays when not given. */
static int read_bound(Run *r, Option option, int64_t of, int64_t *out)
{
    const char *s = cli_get(r->cli, option);
    char *end;
    if (s == NULL)
        return EXIT_FINE;
    double v = strtod(s, &end), unit = 1;
    if (*end == '%' && end[1] == '\0')
        unit = (double)of / 100;
    else if (*end != '\0' && end[1] == '\0' && strchr("kMGT", *end) != NULL)
        unit = *end == 'k' ? 1e3 : *end == 'M' ? 1e6 : *end == 'G' ? 1e9 : 1e12;
    else if (*end != '\0')
        v = -1;
    if (end == s || !(v > 0) || v * unit < 1 || v * unit > 9e18)
        return front_fail(r, EXIT_USAGE,
                          "--%s takes a number such as 300M, 1.2G or 120%%, not '%s'",
                          opt_info[option].name, s);
    *out = (int64_t)(v * unit);
    return EXIT_FINE;
}

/* Each bound of the command line takes the place of the section's. */
static int read_bounds(Run *r, const Net *n, RefineOptions *o)
{
    const Analysis *a = &n->an;
    int code = read_bound(r, OPT_MAX_MACS, a->macs, &o->max_macs);
    if (code == EXIT_FINE)
        code = read_bound(r, OPT_MAX_PARAMS, a->params, &o->max_params);
    if (code == EXIT_FINE)
        code = read_bound(r, OPT_MAX_MEMORY, a->act_peak, &o->max_memory);
    return code;
}

/* The source's `refine` section. */
static const AstNode *section_value(const Run *r, const Net *n, const char *key, const Module **m,
                                    AstId *id)
{
    for (uint32_t i = 0; i < n->elab->refine.len; i++) {
        const SectionEntry *e = &n->elab->refine.at[i];
        if (strcmp(e->key, key) != 0)
            continue;
        *m = r->session.modules.at[e->module];
        *id = e->value;
        return node_at(*m, e->value);
    }
    return NULL;
}

static const char *section_word(const Run *r, const Net *n, const char *key)
{
    const Module *m;
    AstId id;
    const AstNode *x = section_value(r, n, key, &m, &id);
    return x != NULL && x->kind == AST_STRING ? x->sym : NULL;
}

static bool section_auto(const Run *r, const Net *n)
{
    const Module *m;
    AstId id;
    const AstNode *x = section_value(r, n, "auto", &m, &id);
    return x != NULL && x->kind == AST_BOOL && x->i != 0;
}

/* params <= 1.02 and macs <= 2: bounds in proportion to the network as it is. */
static void section_budget(const Module *m, AstId id, const Net *n, RefineOptions *o)
{
    const AstNode *x = node_at(m, id);
    if (x->kind != AST_BINARY)
        return;
    if (x->op == BIN_AND) {
        section_budget(m, kid_at(m, id, 0), n, o);
        section_budget(m, kid_at(m, id, 1), n, o);
        return;
    }
    const AstNode *what = node_at(m, kid_at(m, id, 0)), *much = node_at(m, kid_at(m, id, 1));
    double times = much->kind == AST_INT ? (double)much->i : much->kind == AST_REAL ? much->r : 0;
    bool macs = strcmp(what->sym, "macs") == 0, memory = strcmp(what->sym, "memory") == 0;
    int64_t of = macs ? n->an.macs : memory ? n->an.act_peak : n->an.params;
    if (!(times > 0) || times * (double)of > 9e18)
        return;
    int64_t bound = (int64_t)(times * (double)of) - (x->op == BIN_LT);
    *(macs ? &o->max_macs : memory ? &o->max_memory : &o->max_params) = bound;
}

int refined_settings(Run *r, const Net *n, const char *strategy, RefineOptions *o)
{
    static const char *const strategies[] = {"less-downsampling", "shorter-wider", "fit"};
    static const char *const orders[] = {"max-accuracy", "min-cost"};
    const char *order = cli_get(r->cli, OPT_ORDER);
    VEC(const char *) keep = {0};
    Buf err = {0};
    const Module *m;
    AstId budget;
    int which = REFINE_LESS_DOWNSAMPLING, by = REFINE_CLOSEST;
    int64_t edits;
    if (strategy == NULL)
        strategy = cli_get(r->cli, OPT_STRATEGY);
    if (strategy == NULL)
        strategy = section_word(r, n, "strategy");
    int code = read_word(r, OPT_STRATEGY, strategy, strategies, 3, &which);
    if (code == EXIT_FINE)
        code = read_word(r, OPT_ORDER, order != NULL ? order : section_word(r, n, "order"), orders,
                         2, &by);
    if (code == EXIT_FINE && !cli_int(r->cli, OPT_EDITS, 1, 8, 0, &edits, &err)) {
        code = front_fail(r, EXIT_USAGE, "%s", err.at);
        buf_free(&err);
    }
    if (code != EXIT_FINE)
        return code;
    for (int i = 0; i < r->cli->value_count; i++)
        if (r->cli->values[i].option == OPT_KEEP)
            vec_push(&r->net_arena, &keep, r->cli->values[i].text);
    *o = (RefineOptions){.strategy = (RefineStrategy)which,
                         .order = (RefineOrder)by,
                         .edits = (uint32_t)edits,
                         .param_slack = 0.02,
                         .keep = keep.at,
                         .keep_count = keep.len,
                         .std_path = r->session.std_path};
    o->from_above = cli_has(r->cli, OPT_FROM_ABOVE);
    if (section_value(r, n, "budget", &m, &budget) != NULL)
        section_budget(m, budget, n, o);
    return read_bounds(r, n, o);
}

double refined_percent(int64_t now, int64_t before)
{
    return before > 0 ? 100.0 * ((double)now - (double)before) / (double)before : 0;
}

void refined_n_text(const int64_t n[2], Buf *out)
{
    if (n[0] == n[1])
        buf_printf(out, "%" PRId64, n[0]);
    else
        buf_printf(out, "%" PRId64 "x%" PRId64, n[0], n[1]);
}

static void change_text(const char *what, int64_t now, int64_t before, Buf *out)
{
    if (now == before)
        buf_printf(out, ", %s unchanged", what);
    else
        buf_printf(out, ", %s %+.1f %%", what, refined_percent(now, before));
}

void refined_notes(const RefineCandidate *c, Buf *out)
{
    for (uint32_t i = 0; i < c->notes; i++)
        buf_printf(out, "%s%s", i > 0 ? "; " : "", c->what[i]);
}

void refined_say(Run *r, const char *net, const RefineScore *b, const RefineCandidate *c)
{
    Buf text = {0};
    refined_notes(c, &text);
    buf_add(&text, ": n ");
    refined_n_text(b->n, &text);
    buf_add(&text, " -> ");
    refined_n_text(c->score.n, &text);
    change_text("parameters", c->score.params, b->params, &text);
    change_text("MACs", c->score.macs, b->macs, &text);
    change_text("memory", c->score.memory, b->memory, &text);
    front_note(r, "'%s' refined for %" PRId64 "x%" PRId64 ": %s", net, b->input[0], b->input[1],
               buf_ok(&text) ? text.at : "");
    buf_free(&text);
}

/* No candidate: the least that would do, if anything would. */
int refined_none(Run *r, const Net *n, const RefineOptions *o, const RefineResult *res)
{
    const char *net = n->elab->graph.name;
    Buf text = {0};
    if (res->bounded) {
        const char *sep = "";
        if (o->max_macs > 0) {
            buf_printf(&text, "%s--max-macs=%" PRId64 " (%+.1f %%)", sep, res->least_macs,
                       refined_percent(res->least_macs, res->base.macs));
            sep = ", ";
        }
        if (o->max_params > 0) {
            buf_printf(&text, "%s--max-params=%" PRId64, sep, res->least_params);
            sep = ", ";
        }
        if (o->max_memory > 0)
            buf_printf(&text, "%s--max-memory=%" PRId64 " (%+.1f %%)", sep, res->least_memory,
                       refined_percent(res->least_memory, res->base.memory));
        int code = front_fail(r, EXIT_REFUSED,
                              "no refinement of '%s' is within the bounds; the least "
                              "that would do is %s",
                              net, buf_ok(&text) ? text.at : "");
        buf_free(&text);
        return code;
    }
    if (res->least_n[0] > 0)
        buf_printf(&text, "; the smallest n that was found is %" PRId64,
                   res->least_n[0] > res->least_n[1] ? res->least_n[0] : res->least_n[1]);
    int64_t input = repair_resolution(&r->session, n->ref, &n->opt, &n->an);
    if (input > 0)
        buf_printf(&text, "; an input of %" PRId64 "x%" PRId64 " would do as it is", input, input);
    int code =
        front_fail(r, EXIT_REFUSED,
                   "nothing was found that makes '%s' productive at %" PRId64 "x%" PRId64 "%s", net,
                   res->base.input[0], res->base.input[1], text.at != NULL ? text.at : "");
    buf_free(&text);
    return code;
}

/* The refined text takes the place of a file that lies beside the original and does not exist, so
 * that its imports are found. */
int refined_reopen(Run *r, Net *n, const RefineBase *base, const RefineCandidate *c)
{
    static Overlay overlay; /* of the session, which is one a process */
    const char *slash = strrchr(base->path, '/'), *path = base->path;
    int folder = slash != NULL ? (int)(slash + 1 - base->path) : 0;
    if (!base->copied)
        path = arena_printf(&r->session.arena, "%.*s<refined>.cnn", folder, base->path);
    NetRef ref;
    overlay = (Overlay){path, arena_strndup(&r->session.arena, c->text, c->len), c->len};
    r->session.overlays = &overlay;
    r->session.overlay_count = 1;
    if (!elab_find(&r->session, arena_printf(&r->session.arena, "%s:%s", path, base->net), &ref))
        return EXIT_INTERNAL;
    return front_analyse(r, ref, VERDICTS_REPORT, n);
}

int refined_best(Run *r, const Net *n, Net *out)
{
    const char *strategy = cli_get(r->cli, OPT_REFINE), *why = NULL;
    RefineOptions o;
    RefineBase base;
    RefineResult result;
    int code = refined_settings(r, n, strategy != NULL && *strategy != '\0' ? strategy : NULL, &o);
    if (code != EXIT_FINE)
        return code;
    if (!refine_base(&r->session, &r->net_arena, n->ref, &n->opt, &base, &why))
        return front_fail(r, front_blame(EXIT_REFUSED, why), "'%s' cannot be refined: %s",
                          n->ref.name, why);
    double t = front_seconds();
    if (!refine_run(&r->net_arena, &base, &o, &result))
        return result.starved ? front_fail(r, EXIT_LIMIT, "out of memory")
                              : front_fail(r, EXIT_INTERNAL,
                                           "'%s', written out, is not the same network", base.net);
    stage_time(r, "refine", t);
    if (result.starved)
        return front_fail(r, EXIT_LIMIT, "out of memory");
    if (result.all.len == 0)
        return refined_none(r, n, &o, &result);
    refined_say(r, base.net, &result.base, &result.all.at[0]);
    return refined_reopen(r, out, &base, &result.all.at[0]);
}

int refined_open(Run *r, Net *n, bool *replaced)
{
    bool asked = cli_has(r->cli, OPT_REFINE), feasible = true;
    for (int axis = 0; axis < 2; axis++)
        feasible = feasible && n->an.n[axis] < n->an.input[axis];
    if (feasible || !cli_belongs(OPT_REFINE, r->cli->command) || r->cli->command == CMD_GRAPH ||
        (!asked && !section_auto(r, n)))
        return EXIT_FINE;
    *replaced = true;
    return refined_best(r, n, n);
}
