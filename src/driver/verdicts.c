/* The refusal of a network, and its milder forms: which layer cannot contribute, how its receptive
 * field came to be that large, how many layers are hit, and what would repair it. */
#include "driver/front.h"
#include "refine/repair.h"
#include "report/summary.h"
#include <inttypes.h>
#include <string.h>

static const struct {
    Verdict verdict;
    DiagCode code;
} classes[] = {{VERDICT_UNPRODUCTIVE, E_UNPRODUCTIVE},
               {VERDICT_UNDERUTILIZED, E_UNDERUTILIZED},
               {VERDICT_SATURATED, W_SATURATED}};
enum { CLASSES = sizeof classes / sizeof classes[0], NAMED = 6 };

/* The nodes of one class that one @allow silences, or none does. */
typedef struct Hits {
    uint32_t allow; /* index + 1 in Diags.allows, 0 = reported */
    VEC(uint32_t) nodes;
} Hits;
typedef VEC(Hits) HitList;

/* The @allow that covers a node, 0 when none does. */
static uint32_t allow_for(const Diags *d, const Elab *e, uint32_t v, DiagCode code)
{
    uint32_t inst = e->origins.at[e->graph.nodes.at[v].origin].inst;
    for (;; inst = e->insts.at[inst].parent) {
        for (uint32_t i = 0; i < e->allows.len; i++) {
            const Allow *a = &e->allows.at[i];
            if (a->inst == inst && diag_lint(a->lint) == code)
                return diag_allow_at(d, a->span, code);
        }
        if (inst == 0)
            return 0;
    }
}

/* The first entry, which may be empty, holds what is to be reported. */
static HitList find_hits(Run *r, const Net *n, int k)
{
    HitList list = {0};
    vec_push(&r->net_arena, &list, (Hits){0});
    for (uint32_t v = 1; v < n->elab->graph.nodes.len; v++) {
        if (!n->an.live[v] || n->an.verdict[v].aux || n->an.verdict[v].v != classes[k].verdict)
            continue;
        uint32_t allow = allow_for(&r->session.diags, n->elab, v, classes[k].code), i = 0;
        while (i < list.len && list.at[i].allow != allow)
            i++;
        if (i == list.len)
            vec_push(&r->net_arena, &list, (Hits){.allow = allow});
        vec_push(&r->net_arena, &list.at[i].nodes, v);
    }
    return list;
}

/* The axis a message talks about: the one that shows the verdict. */
static int shown_axis(const Net *n, uint32_t v)
{
    return n->an.verdict[v].axis[0] ? 0 : 1;
}

static const char *axis_note(const Net *n, uint32_t v)
{
    const NodeVerdict *d = &n->an.verdict[v];
    return d->axis[0] == d->axis[1] ? "" : d->axis[0] ? " (height only)" : " (width only)";
}

static const char *first_text(Run *r, const Net *n, int k, uint32_t v)
{
    int x = shown_axis(n, v);
    const RfInfo *rf = &n->an.rf[v];
    const char *path = n->elab->graph.nodes.at[v].name, *net = n->elab->graph.name;
    int64_t i = n->an.input[x];
    Arena *a = &r->session.arena;
    switch (classes[k].verdict) {
    case VERDICT_UNPRODUCTIVE:
        return arena_printf(
            a,
            "layer '%s' of '%s' can add no context%s: the smallest receptive field "
            "before it (%" PRId64 ") already spans the %" PRId64 "x%" PRId64 " input",
            path, net, axis_note(n, v), rf->r_in_min[x], n->an.input[0], n->an.input[1]);
    case VERDICT_UNDERUTILIZED:
        return arena_printf(a,
                            "layer '%s' of '%s' reaches past the image%s: its smallest receptive "
                            "field is %" PRId64 ", the input %" PRId64 "x%" PRId64,
                            path, net, axis_note(n, v), rf->axis[x].r_min, n->an.input[0],
                            n->an.input[1]);
    default:
        return arena_printf(a,
                            "layer '%s' of '%s' just spans the image%s: its smallest receptive "
                            "field is %" PRId64 ", the input's size",
                            path, net, axis_note(n, v), i);
    }
}

/* The stage or head a node is in; with `steps` its step of the stage: "features.3". */
static const char *part_name(const Elab *e, NodeId node, bool steps)
{
    uint32_t inst = e->origins.at[graph_node(&e->graph, node)->origin].inst, step = 0;
    for (; inst != 0; inst = e->insts.at[inst].parent) {
        if (e->insts.at[inst].kind == INST_STEP)
            step = inst;
        if (e->insts.at[inst].kind == INST_STAGE || e->insts.at[inst].kind == INST_HEAD)
            break;
    }
    if (inst == 0)
        return "input";
    return steps && step != 0 ? e->insts.at[step].path : e->insts.at[inst].name;
}

/* "stem 7 (jump 4) -> s1 35 -> ...": r and jump after each stage of the minimal path. */
static const char *growth(Run *r, const Net *n, uint32_t v)
{
    RfStep *steps;
    uint32_t count =
        analysis_min_path(&r->net_arena, &n->an, (NodeId){v}, shown_axis(n, v), &steps);
    Buf b = {0};
    /* A network written as one long stage is shown step by step. */
    uint32_t parts = 1;
    for (uint32_t i = 1; i < count; i++)
        parts += strcmp(part_name(n->elab, steps[i].node, false),
                        part_name(n->elab, steps[i - 1].node, false)) != 0;
    bool fine = parts <= 2;
    for (uint32_t i = 0; i < count; i++) {
        const char *part = part_name(n->elab, steps[i].node, fine);
        if (i + 1 < count && strcmp(part, part_name(n->elab, steps[i + 1].node, fine)) == 0)
            continue;
        buf_printf(&b, "%s%s %" PRId64, b.len ? " -> " : "", part, steps[i].r);
        if (steps[i].s_den == 1)
            buf_printf(&b, " (jump %" PRId64 ")", steps[i].s_num);
        else
            buf_printf(&b, " (jump %" PRId64 "/%" PRId64 ")", steps[i].s_num, steps[i].s_den);
    }
    const char *text = arena_strdup(&r->session.arena, b.at ? b.at : "");
    buf_free(&b);
    return text;
}

static const char *hit_list(Run *r, const Net *n, const Hits *h, int k)
{
    Buf b = {0};
    buf_printf(&b, "%u layer%s %s %s: ", h->nodes.len, h->nodes.len == 1 ? "" : "s",
               h->nodes.len == 1 ? "is" : "are", diag_info[classes[k].code].lint);
    for (uint32_t i = 0; i < h->nodes.len && i < NAMED; i++)
        buf_printf(&b, "%s%s", i ? ", " : "", n->elab->graph.nodes.at[h->nodes.at[i]].name);
    if (h->nodes.len > NAMED)
        buf_printf(&b, " and %u more", h->nodes.len - NAMED);
    const char *text = arena_strdup(&r->session.arena, b.at ? b.at : "");
    buf_free(&b);
    return text;
}

/* How a total changes: "unchanged", "+3.1 %". */
static void change(Buf *b, const char *what, int64_t before, int64_t after)
{
    if (before == after)
        buf_printf(b, ", %s unchanged", what);
    else
        buf_printf(b, ", %s %+.1f %%", what, 100.0 * ((double)after / (double)before - 1.0));
}

static void add_repairs(Run *r, Net *n, uint32_t d)
{
    enum { SHOWN = 3 };
    Repair *list;
    uint32_t count = repair_one_stride(&r->session, n->ref, &n->opt, n->elab, &n->an, &list);
    for (uint32_t i = 0; i < count && i < SHOWN; i++) {
        Buf b = {0};
        const Source *src = source_get(&r->session.sources, list[i].span[0].src);
        const char *old = arena_strndup(&r->session.arena, src->text + list[i].span[0].lo,
                                        list[i].span[0].hi - list[i].span[0].lo);
        buf_printf(&b, "%sstride %s -> %s at '%s' makes every layer productive: n = %" PRId64,
                   i ? "or " : "", old, list[i].text[0], list[i].layer,
                   list[i].n[0] > list[i].n[1] ? list[i].n[0] : list[i].n[1]);
        change(&b, "parameters", n->an.params, list[i].params);
        change(&b, "MACs", n->an.macs, list[i].macs);
        if (list[i].changes > 1)
            buf_printf(&b, " (with the stage's own stride -> %s)", list[i].text[1]);
        if (list[i].changes == 1)
            diag_suggest(&r->session.diags, d, list[i].span[0], list[i].text[0], "%s", b.at);
        else
            diag_help(&r->session.diags, d, list[i].span[0], "%s", b.at);
        buf_free(&b);
    }
    int64_t res = repair_resolution(&r->session, n->ref, &n->opt, &n->an);
    if (res != 0)
        diag_help(&r->session.diags, d, SPAN_NONE,
                  "%san input of %" PRId64 "x%" PRId64 " would do as it is (--input %" PRId64
                  "x%" PRId64 "x%" PRId64 ")",
                  count ? "or " : "", res, res, n->an.shape[n->an.g->ins.at[0].node.v].c, res, res);
}

/* `first`: with what holds for the whole net; `repairs`: with ways out. */
static void report_class(Run *r, Net *n, int k, const Hits *h, bool first, bool repairs)
{
    Diags *d = &r->session.diags;
    uint32_t v = h->nodes.at[0];
    const Origin *o = &n->elab->origins.at[n->elab->graph.nodes.at[v].origin];
    /* The step of the stage is where one can act; the layer may be deep in a library's block. */
    bool inside =
        o->instance.src != 0 && (o->instance.src != o->span.src || o->instance.lo != o->span.lo);
    Span place = inside ? o->instance : o->span;
    const char *text = first_text(r, n, k, v);
    uint32_t at = h->allow != 0 ? diag_silenced(d, classes[k].code, place, h->allow, text)
                                : diag(d, classes[k].code, place, text);
    if (at == UINT32_MAX)
        return;
    if (inside)
        diag_note(d, at, o->span, "the layer is this part of it");
    diag_note(d, at, SPAN_NONE, "r_min along the smallest path: %s", growth(r, n, v));
    diag_note(d, at, SPAN_NONE, "%s", hit_list(r, n, h, k));
    if (!first)
        return;
    if (n->an.n[0] == n->an.n[1])
        diag_note(d, at, SPAN_NONE,
                  "n = %" PRId64 ": every layer is productive only on inputs larger than that",
                  n->an.n[0]);
    else
        diag_note(d, at, SPAN_NONE,
                  "n = %" PRId64 "x%" PRId64
                  ": every layer is productive only on inputs larger than that",
                  n->an.n[0], n->an.n[1]);
    if (repairs)
        add_repairs(r, n, at);
}

bool verdict_refuses(Run *r, const Net *n)
{
    bool refused = false;
    for (int k = 0; k < CLASSES && !refused; k++)
        refused = diag_level(&r->session.diags, classes[k].code) == SEV_ERROR &&
                  find_hits(r, n, k).at[0].nodes.len > 0;
    return refused;
}

void verdict_report(Run *r, Net *n, bool repairs)
{
    Diags *d = &r->session.diags;
    bool first = true;
    for (int k = 0; k < CLASSES; k++) {
        HitList list = find_hits(r, n, k);
        Severity level = diag_level(d, classes[k].code);
        for (uint32_t i = 1; i < list.len; i++)
            report_class(r, n, k, &list.at[i], false, false);
        if (list.at[0].nodes.len == 0 || level == SEV_ALLOW)
            continue;
        report_class(r, n, k, &list.at[0], first, repairs && level == SEV_ERROR);
        first = false;
    }
    for (uint32_t i = 0; i < n->elab->allows.len; i++) {
        const Allow *a = &n->elab->allows.at[i];
        uint32_t at = diag_allow_at(d, a->span, diag_lint(a->lint));
        if (at != 0)
            d->allows.at[at - 1].reached = true;
    }
}

static void report_useless(Run *r, const DiagAllow *a)
{
    uint32_t d = diag(&r->session.diags, W_ALLOW_UNUSED, a->at, diag_info[a->code].lint);
    diag_fix(&r->session.diags, d,
             source_removal(source_get(&r->session.sources, a->at.src), a->at), "", "remove it");
}

void verdict_useless_allows(Run *r, uint32_t src)
{
    const Diags *d = &r->session.diags;
    for (int last = 0; last < 2; last++) /* those that silence this very lint come last */
        for (uint32_t i = 0; i < d->allows.len; i++) {
            const DiagAllow *a = &d->allows.at[i];
            if (a->at.src == src && !a->used && (!a->elaborated || a->reached) &&
                (a->code == W_ALLOW_UNUSED) == (last == 1))
                report_useless(r, a);
        }
}
