/* tune: the kernels of a network with other tiles than the rules', measured one by one. */
#include "driver/commands.h"
#include "driver/measure.h"
#include "driver/tuned.h"
#include <stdio.h>
#include <string.h>

/* What is found is used when it is at least this much faster: less is noise. */
static const double worth = 0.98;
enum { ROUNDS = 4 /* of neighbours of neighbours */ };

typedef struct Tuner {
    Run *r;
    Net net;
    Native native;
    Tuned known;
    Measure m;
    uint32_t done, skipped, total; /* kernels that have a choice */
    double start;
} Tuner;

/* What is known of a kernel, measured now or before. */
typedef struct Found {
    const TuneRow *row; /* NULL: it has no choice */
    bool before;
} Found;

static int open_tuner(Tuner *t)
{
    Run *r = t->r;
    Target target;
    int code = native_open(&t->native, r, cli_get(r->cli, OPT_TARGET_CPU), &target);
    if (code != EXIT_FINE)
        return code;
    if (native_foreign(&target) != NULL)
        return front_fail(r, EXIT_FILE, "code for %s cannot be measured on this machine",
                          native_foreign(&target));
    target.exact_conv = cli_has(r->cli, OPT_EXACT_CONV);
    code = tuned_open(&t->known, r, t->native.api, &t->net, &target);
    if (code != EXIT_FINE)
        return code;
    if (t->known.path == NULL)
        return front_fail(r, EXIT_FILE,
                          "nowhere to keep what is measured: set XDG_CACHE_HOME or HOME");
    if (t->known.wrong != NULL)
        front_note(r, "%s: %s: begun anew", t->known.path, t->known.wrong);
    fuse_run(&t->native.fusion, &r->net_arena, &t->net.an);
    const char *bad =
        plan_build(&t->native.plan, &r->net_arena, &t->net.an, &t->native.fusion, &target);
    if (bad != NULL)
        return front_fail(r, EXIT_LIMIT, "'%s' cannot be planned: %s", t->net.elab->graph.name,
                          bad);
    t->m = (Measure){.native = &t->native, .target = &t->native.plan.target};
    t->m.how = t->known.cache.how;
    return EXIT_FINE;
}

static void show_progress(const Tuner *t, const char *name)
{
    if (t->r->quiet || !t->r->colour_err)
        return;
    uint32_t now = t->done - t->skipped, left = t->total - t->done;
    double spent = front_seconds() - t->start;
    fprintf(stderr, "\r\x1b[Ktuning %u of %u, ", t->done + 1, t->total);
    if (now > 0)
        fprintf(stderr, "%.0f s left: %s", spent / now * left, name);
    else
        fprintf(stderr, "%s", name);
    fflush(stderr);
}

/* Tiles of `near` that were not tried yet, after the tile that is best so far. */
static int untried(const Tile *near, int count, const Tile *tried, int tried_count, Tile *out)
{
    int n = 0;
    for (int i = 0; i < count; i++) {
        bool seen = false;
        for (int k = 0; k < tried_count && i > 0; k++)
            seen = seen || family_same_tile(&near[i], &tried[k]);
        if (!seen)
            out[n++] = near[i];
    }
    return n;
}

/* Goes from the rules' tile to the best near it, and on from there while that helps; what is found
 * so is compared with the rules' tile once more. */
static int search(Tuner *t, const Kernel *rule, TuneRow *row)
{
    enum { TRIED_MOST = ROUNDS * FAMILY_CANDIDATES };
    Tile near[FAMILY_CANDIDATES], list[FAMILY_CANDIDATES], tried[TRIED_MOST];
    double us[FAMILY_CANDIDATES];
    Kernel k = *rule;
    int code = EXIT_FINE;
    row->tried = 0;
    for (int round = 0; round < ROUNDS; round++) {
        int count = family_candidates(&k, t->m.target, near, FAMILY_CANDIDATES), best = 0;
        count = untried(near, count, tried, row->tried, list);
        if (count < 2)
            break;
        code = measure_tiles(&t->m, t->r, &k, list, count, us);
        if (code != EXIT_FINE)
            return code;
        for (int i = 0; i < count; i++)
            best = us[i] < us[best] ? i : best;
        for (int i = round > 0; i < count; i++)
            tried[row->tried++] = list[i];
        row->us = us[0];
        if (round == 0)
            row->rule_us = us[0];
        if (us[best] > worth * us[0])
            break;
        k.tile = list[best];
        row->us = us[best];
    }
    row->tile = k.tile;
    if (family_same_tile(&k.tile, &rule->tile)) {
        row->us = row->rule_us;
        return code;
    }
    const Tile both[] = {rule->tile, k.tile};
    code = measure_tiles(&t->m, t->r, rule, both, 2, us);
    row->tile = us[1] <= worth * us[0] ? k.tile : rule->tile;
    row->rule_us = us[0];
    row->us = us[1] <= worth * us[0] ? us[1] : us[0];
    return code;
}

static int tune_kernel(Tuner *t, const Kernel *k, const char *name, Found *out)
{
    Run *r = t->r;
    Tile one[2];
    Buf key = {0};
    if (family_candidates(k, t->m.target, one, 2) < 2)
        return EXIT_FINE;
    tune_key(k, t->m.target, t->m.how, &key);
    if (!buf_ok(&key))
        return front_fail(r, EXIT_LIMIT, "out of memory");
    out->row = tune_find(&t->known.cache, key.at);
    out->before = out->row != NULL && !cli_has(r->cli, OPT_AGAIN);
    TuneRow *row = arena_new(&r->net_arena, TuneRow);
    row->key = arena_strdup(&r->net_arena, key.at);
    buf_free(&key);
    int code = EXIT_FINE;
    if (out->before) {
        t->skipped++;
    } else {
        show_progress(t, name);
        out->row = row;
        code = search(t, k, row);
        const char *why = NULL;
        if (code == EXIT_FINE && !tune_add(t->known.path, row, t->m.how, &r->session.oom, &why))
            code = front_fail(r, front_blame(EXIT_FILE, why), "%s: %s", t->known.path, why);
    }
    t->done++;
    return code;
}

static const char *first_step(const Plan *p, uint32_t kernel)
{
    for (uint32_t i = 0; i < p->steps.len; i++)
        if (p->steps.at[i].kernel == kernel)
            return p->steps.at[i].name;
    return "";
}

static void tile_text(const Tile *t, Buf *out)
{
    const CudaTile *c = &t->cuda;
    if (c->m > 0)
        buf_printf(out, "%dx%dx%d/%dx%d", c->m, c->n, c->k, c->tm, c->tn);
    else if (c->threads > 0)
        buf_printf(out, "px=%d", t->px);
    if (c->dtype != DTYPE_FP32)
        buf_printf(out, "%s*%d%s", dtype_info[c->dtype].name, c->stages, c->group ? "g" : "");
    if (c->threads > 0)
        return;
    buf_printf(out, "%dx%d rb=%d", t->ocv, t->px, t->rb);
    if (t->kc > 0)
        buf_printf(out, " kc=%d", t->kc);
    buf_printf(out, "%s%s", t->split_oc ? " oc" : "", t->prefetch ? " pf" : "");
    if (t->winograd > 0)
        buf_printf(out, " winograd=%d", t->winograd);
}

static int write_table(Tuner *t, const Found *found)
{
    const Plan *p = &t->native.plan;
    Buf out = {0};
    double rules = 0, best = 0;
    buf_printf(&out, "%-28s %4s %10s %10s %7s %5s  %s\n", "kernel of", "uses", "rules us",
               "best us", "gain", "tried", "tile");
    for (uint32_t i = 0; i < p->kernels.len; i++) {
        const TuneRow *row = found[i].row;
        if (row == NULL)
            continue;
        unsigned uses = p->kernels.at[i].uses;
        buf_printf(&out, "%-28s %4u %10.1f %10.1f %6.1f%% %5d  ", first_step(p, i), uses,
                   row->rule_us, row->us, 100 * (1 - row->us / row->rule_us), row->tried);
        tile_text(&row->tile, &out);
        buf_printf(&out, "%s\n", found[i].before ? " (before)" : "");
        rules += uses * row->rule_us;
        best += uses * row->us;
    }
    buf_printf(&out, "%u kernels with a choice, %u measured now: %.1f us by rule, %.1f us tuned\n",
               t->total, t->total - t->skipped, rules, best);
    return front_write(t->r, cli_get(t->r->cli, OPT_OUTPUT), &out);
}

int command_tune(Run *r)
{
    Tuner t = {.r = r};
    Tile one[2];
    int code = front_open(r, r->cli->operands[0], VERDICTS_REPORT, &t.net);
    if (code == EXIT_FINE)
        code = open_tuner(&t);
    if (code != EXIT_FINE)
        return code;
    const Plan *p = &t.native.plan;
    Found *found = arena_new_n(&r->net_arena, Found, p->kernels.len);
    for (uint32_t i = 0; i < p->kernels.len; i++)
        t.total += family_candidates(&p->kernels.at[i].k, t.m.target, one, 2) > 1;
    t.start = front_seconds();
    for (uint32_t i = 0; i < p->kernels.len && code == EXIT_FINE; i++)
        code = tune_kernel(&t, &p->kernels.at[i].k, first_step(p, i), &found[i]);
    if (!r->quiet && r->colour_err)
        fputs("\r\x1b[K", stderr);
    if (code == EXIT_FINE)
        code = write_table(&t, found);
    native_close(&t.native);
    return code;
}
