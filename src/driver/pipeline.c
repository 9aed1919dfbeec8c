/* The pipelines of the commands that need no code generation, and the frame around all. */
#include "driver/commands.h"
#include "driver/train_settings.h"
#include "report/summary.h"
#include "sema/sema.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int worst(int a, int b)
{
    return a > b ? a : b;
}

/* FILE.cnn without a net means all its concrete nets, for `check` alone. */
static bool whole_file(const char *spec)
{
    size_t n = strlen(spec);
    return (n > 4 && strcmp(spec + n - 4, ".cnn") == 0) || strcmp(spec, "-") == 0;
}

/* After every net of a source was built: what can only be said then. */
static void whole_source(Run *r, const NetRef *nets, uint32_t count)
{
    if (count == 0)
        return;
    const Module *m = r->session.modules.at[nets[0].module];
    if (!m->std)
        verdict_useless_allows(r, m->ast->src);
}

static int check_file(Run *r, const char *file)
{
    NetRef *nets;
    uint32_t count = elab_nets(&r->session, file, &nets);
    int code = diag_failed(&r->session.diags) ? EXIT_REFUSED : EXIT_FINE;
    bool all = true;
    for (uint32_t i = 0; i < count; i++) {
        Net n;
        if (!nets[i].concrete)
            continue;
        int one = front_analyse(r, nets[i], VERDICTS_REPAIR, &n);
        all = all && n.elab != NULL && one != EXIT_STOPPED;
        code = worst(code, one);
        arena_reset(&r->net_arena);
    }
    if (all)
        whole_source(r, nets, count);
    return code;
}

int command_check(Run *r)
{
    bool fix = cli_has(r->cli, OPT_FIX) || cli_has(r->cli, OPT_FIX_SUGGESTED);
    if (!fix && (cli_has(r->cli, OPT_DRY_RUN) || cli_has(r->cli, OPT_DIFF)))
        return front_fail(r, EXIT_USAGE, "--%s belongs to --fix",
                          cli_has(r->cli, OPT_DIFF) ? "diff" : "dry-run");
    return fix ? fix_check(r) : check_all(r);
}

int check_all(Run *r)
{
    int code = EXIT_FINE;
    for (int i = 0; i < r->cli->operand_count; i++) {
        const char *spec = r->cli->operands[i];
        Net n;
        if (whole_file(spec))
            code = worst(code, check_file(r, spec));
        else
            code = worst(code, front_open(r, spec, VERDICTS_REPAIR, &n));
        arena_reset(&r->net_arena);
    }
    return code;
}

SummaryFormat command_format(const Run *r)
{
    const char *f = cli_get(r->cli, OPT_FORMAT);
    return f != NULL && strcmp(f, "json") == 0  ? SUMMARY_JSON
           : f != NULL && strcmp(f, "csv") == 0 ? SUMMARY_CSV
                                                : SUMMARY_TABLE;
}

/* LO:HI:STEP */
static bool parse_sweep(const char *s, int64_t v[3])
{
    for (int i = 0; i < 3; i++) {
        char *end;
        errno = 0;
        v[i] = strtoll(s, &end, 10);
        if (end == s || errno != 0 || v[i] < 1 || v[i] > 1 << 20 || *end != (i < 2 ? ':' : '\0'))
            return false;
        s = end + 1;
    }
    return v[0] <= v[1] && (v[1] - v[0]) / v[2] < 10000;
}

static int sweep(Run *r, const char *spec, SummaryFormat format)
{
    int64_t range[3];
    NetRef ref;
    VEC(SweepRow) rows = {0};
    Net n = {0};
    if (!parse_sweep(cli_get(r->cli, OPT_SWEEP), range))
        return front_fail(r, EXIT_USAGE, "--sweep takes LO:HI:STEP, such as 32:512:32, not '%s'",
                          cli_get(r->cli, OPT_SWEEP));
    if (!elab_find(&r->session, spec, &ref))
        return EXIT_REFUSED;
    int code = front_analyse(r, ref, VERDICTS_SILENT, &n);
    if (n.elab == NULL)
        return code;
    const char *name = arena_strdup(&r->session.arena, n.elab->graph.name);
    int64_t channels = n.an.shape[n.an.g->ins.at[0].node.v].c;
    for (int64_t res = range[0]; res <= range[1]; res += range[2]) {
        uint32_t mark = r->session.diags.all.len;
        SweepRow row = {.res = res};
        ElabOptions opt = n.opt;
        Analysis a;
        NodeId at;
        ShapeError err;
        opt.input[0] = channels;
        opt.input[1] = opt.input[2] = res;
        arena_reset(&r->net_arena);
        Elab *e = elab_net(&r->session, &r->net_arena, ref, &opt);
        if (e != NULL && analysis_run(&r->net_arena, &e->graph, &a, &at, &err)) {
            row.ok = true;
            row.macs = a.macs;
            row.act_peak = a.act_peak;
            memcpy(row.count, a.count, sizeof row.count);
            memcpy(row.n, a.n, sizeof row.n);
        }
        diag_rewind(&r->session.diags, mark);
        vec_push(&r->session.arena, &rows, row);
    }
    Buf out = {0};
    report_sweep(name, rows.at, rows.len, format, &out);
    return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
}

typedef struct PlaceCtx {
    Run *r;
    const Net *n;
} PlaceCtx;

static const char *place(void *ctx, NodeId node)
{
    PlaceCtx *c = ctx;
    return front_place(c->r, c->n, node);
}

int command_summary(Run *r)
{
    SummaryFormat format = command_format(r);
    Net n;
    if (cli_has(r->cli, OPT_SET) && !cli_has(r->cli, OPT_TRAIN))
        return front_fail(r, EXIT_USAGE, "--set is for --train");
    if (cli_has(r->cli, OPT_RECOMPUTE) && !cli_has(r->cli, OPT_TRAIN))
        return front_fail(r, EXIT_USAGE, "--recompute is for --train");
    if (cli_has(r->cli, OPT_TRAIN) && cli_has(r->cli, OPT_SWEEP))
        return front_fail(r, EXIT_USAGE, "--train and --sweep exclude each other");
    if (cli_has(r->cli, OPT_SWEEP))
        return sweep(r, r->cli->operands[0], format);
    int code = front_open(r, r->cli->operands[0], VERDICTS_SILENT, &n);
    if (n.elab == NULL || code == EXIT_STOPPED)
        return code;
    if (cli_has(r->cli, OPT_TRAIN))
        return train_settings_show(r, &n);
    /* A refused network has a summary, too: that is where one looks for the reason. */
    PlaceCtx ctx = {r, &n};
    SummaryOptions o = {.all = cli_has(r->cli, OPT_ALL),
                        .colour = r->colour_out && cli_get(r->cli, OPT_OUTPUT) == NULL,
                        .place = place,
                        .place_ctx = &ctx};
    analysis_runnable_min(&r->net_arena, &n.elab->graph, o.runnable);
    Buf out = {0};
    report_summary(&n.an, &o, format, &out);
    return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
}

int command_print_graph(Run *r)
{
    Net n;
    Buf out = {0};
    int code = front_open(r, r->cli->operands[0], VERDICTS_SILENT, &n);
    if (n.elab == NULL)
        return code;
    graph_print(&n.elab->graph, &out);
    return worst(code, front_write(r, cli_get(r->cli, OPT_OUTPUT), &out));
}

static int (*const commands[CMD_COUNT])(Run *) = {
#define CMD(ID, NAME, LETTER, FN, LEAST, MOST, ARGS, DOC) [CMD_##ID] = command_##FN,
#include "driver/options.def"
};

/* Errors about the command line's own words outrank the general 1; the highest code counts. */
static int exit_code(const Diags *d)
{
    int code = EXIT_REFUSED;
    for (uint32_t i = 0; i < d->all.len; i++) {
        if (d->all.at[i].level == SEV_ERROR && d->all.at[i].code == E_FILE)
            code = worst(code, EXIT_FILE);
        if (d->all.at[i].level == SEV_ERROR && d->all.at[i].code == E_NO_SUCH_NET)
            code = worst(code, EXIT_USAGE);
    }
    return code;
}

/* What is left to say when memory has run out. */
static int out_of_memory(Run *r)
{
    static bool again;
    if (again) /* not even the message found room */
        return EXIT_LIMIT;
    again = true;
    front_fail(r, EXIT_LIMIT,
               r->session.oom.over_limit ? "the memory limit of the compiler is reached"
                                         : "out of memory");
    return front_report(r, EXIT_LIMIT);
}

int command_execute(const Cli *cli, const char *misuse)
{
    /* static: values written after setjmp must survive the jump */
    static Run run;
    int code;
    if (setjmp(run.session.oom.env) != 0)
        return out_of_memory(&run);
    code = front_start(&run, cli);
    if (misuse != NULL) {
        code = front_fail(&run, EXIT_USAGE, "%s", misuse);
        code = front_report(&run, code);
    } else if (code != EXIT_FINE) {
        code = front_report(&run, code);
    } else {
        code = commands[cli->command](&run);
        if (code == EXIT_STOPPED)
            code = EXIT_FINE;
        if (code <= EXIT_REFUSED && diag_failed(&run.session.diags))
            code = exit_code(&run.session.diags);
        code = front_report(&run, code);
        stage_report(&run);
    }
    arena_free(&run.net_arena);
    session_free(&run.session);
    return code;
}
