#include "driver/front.h"
#include "driver/refined.h"
#include "sema/sema.h"
#include "support/fs.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double front_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* NO_COLOR over CLICOLOR_FORCE over CLICOLOR; a dumb terminal has none. */
static bool colour_for(const Cli *cli, int fd)
{
    const char *when = cli_get(cli, OPT_COLOR), *v;
    if (when != NULL && strcmp(when, "auto") != 0)
        return strcmp(when, "always") == 0;
    if ((v = getenv("NO_COLOR")) != NULL && *v != '\0')
        return false;
    if ((v = getenv("CLICOLOR_FORCE")) != NULL && *v != '\0' && strcmp(v, "0") != 0)
        return true;
    if ((v = getenv("CLICOLOR")) != NULL && strcmp(v, "0") == 0)
        return false;
    v = getenv("TERM");
    return isatty(fd) && v != NULL && strcmp(v, "dumb") != 0;
}

static int set_levels(Run *r, const char *list, Severity level)
{
    while (*list != '\0') {
        size_t n = strcspn(list, ",");
        char name[64];
        if (n >= sizeof name)
            return front_fail(r, EXIT_USAGE, "unknown lint '%s'", list);
        memcpy(name, list, n);
        name[n] = '\0';
        if (n > 0 && !diag_set_level(&r->session.diags, name, level)) {
            const char *names[DIAG_COUNT + 1];
            size_t count = 0;
            for (int i = 0; i < DIAG_COUNT; i++)
                if (diag_info[i].lint != NULL)
                    names[count++] = diag_info[i].lint;
            names[count++] = "warnings";
            const char *near = intern_nearest(name, names, count);
            return front_fail(r, EXIT_USAGE, "unknown lint '%s'%s%s%s", name,
                              near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        }
        list += n + (list[n] == ',');
    }
    return EXIT_FINE;
}

/* Levels in the order of the command line: later ones win. */
static int read_levels(Run *r)
{
    static const Severity level[OPT_COUNT] = {
        [OPT_ALLOW] = SEV_ALLOW, [OPT_WARN] = SEV_WARNING, [OPT_DENY] = SEV_ERROR};
    for (int i = 0; i < r->cli->value_count; i++) {
        Option o = r->cli->values[i].option;
        if (o != OPT_ALLOW && o != OPT_WARN && o != OPT_DENY)
            continue;
        int code = set_levels(r, r->cli->values[i].text, level[o]);
        if (code != EXIT_FINE)
            return code;
    }
    return EXIT_FINE;
}

static DiagFormat message_format(const char *f)
{
    return f == NULL                 ? DIAG_HUMAN
           : strcmp(f, "short") == 0 ? DIAG_SHORT
           : strcmp(f, "json") == 0  ? DIAG_JSON
           : strcmp(f, "sarif") == 0 ? DIAG_SARIF
                                     : DIAG_HUMAN;
}

int front_start(Run *r, const Cli *cli)
{
    Buf err = {0};
    int64_t limit;
    r->cli = cli;
    r->colour_out = colour_for(cli, STDOUT_FILENO);
    r->colour_err = colour_for(cli, STDERR_FILENO);
    r->message_format = message_format(cli_get(cli, OPT_MESSAGE_FORMAT));
    r->machine = r->message_format == DIAG_JSON || r->message_format == DIAG_SARIF;
    r->messages = cli->command == CMD_CHECK ? cli_get(cli, OPT_OUTPUT) : NULL;
    r->quiet = cli_has(cli, OPT_QUIET) || r->machine;
    session_init(&r->session, getenv("CNNC_PATH"));
    arena_init(&r->net_arena, &r->session.oom, 0);
    r->session.diags.run.version = CNNC_VERSION;
    if (!cli_int(cli, OPT_ERROR_LIMIT, 1, 1000000, 20, &limit, &err)) {
        front_fail(r, EXIT_USAGE, "%s", err.at);
        buf_free(&err);
        return EXIT_USAGE;
    }
    r->session.diags.error_limit = (uint32_t)limit;
    if (r->machine && r->messages == NULL &&
        ((cli_has(cli, OPT_DUMP) && !cli_has(cli, OPT_DUMP_DIR)) || cli_has(cli, OPT_TIME_PASSES)))
        return front_fail(r, EXIT_USAGE,
                          "--%s prints to stderr, where --message-format=%s puts its document",
                          cli_has(cli, OPT_TIME_PASSES) ? "time-passes" : "dump",
                          cli_get(cli, OPT_MESSAGE_FORMAT));
    int code = stage_check_options(r);
    return code == EXIT_FINE ? read_levels(r) : code;
}

int front_restart(Run *r)
{
    arena_free(&r->net_arena);
    session_free(&r->session);
    return front_start(r, r->cli);
}

/* "3x240x240"; false when the text has another form. */
static bool parse_dims(const char *s, int64_t dims[3])
{
    int64_t out[3];
    for (int i = 0; i < 3; i++) {
        char *end;
        if (*s < '0' || *s > '9')
            return false;
        errno = 0;
        long long v = strtoll(s, &end, 10);
        if (errno != 0 || v < 1 || v > INT32_MAX || *end != (i < 2 ? 'x' : '\0'))
            return false;
        out[i] = v;
        s = end + 1;
    }
    memcpy(dims, out, sizeof out);
    return true;
}

bool front_is_dims(const char *text)
{
    return *text >= '0' && *text <= '9' && text[strspn(text, "0123456789x")] == '\0';
}

static int read_options(Run *r, ElabOptions *o)
{
    VEC(const char *) params = {0};
    *o = (ElabOptions){0};
    for (int i = 0; i < r->cli->value_count; i++) {
        const CliValue *v = &r->cli->values[i];
        const char *text = v->option == OPT_PARAM ? v->text
                           : v->option == OPT_DROP_PATH
                               ? arena_printf(&r->session.arena, "drop_path_rate=%s", v->text)
                           : v->option == OPT_DROP
                               ? arena_printf(&r->session.arena, "drop_rate=%s", v->text)
                               : NULL;
        if (text != NULL)
            vec_push(&r->session.arena, &params, text);
        else if (v->option == OPT_INPUT && !parse_dims(v->text, o->input) &&
                 (r->cli->command != CMD_RUN || front_is_dims(v->text)))
            return front_fail(r, EXIT_USAGE, "--input takes CxHxW, such as 3x224x224, not '%s'",
                              v->text);
    }
    o->params = params.at;
    o->param_count = params.len;
    return EXIT_FINE;
}

const char *front_place(Run *r, const Net *n, NodeId node)
{
    uint32_t origin = graph_node(&n->elab->graph, node)->origin;
    Span s = n->elab->origins.at[origin].span;
    const Source *src = s.src != 0 ? source_get(&r->session.sources, s.src) : NULL;
    if (src == NULL)
        return NULL;
    LineCol at = source_line_col(src, s.lo);
    return arena_printf(&r->session.arena, "%s:%u:%u", src->path, at.line, at.col);
}

/* The tree of the file a net is in; the first thing shown, also when elaboration fails. */
static int show_tree(Run *r, uint32_t module)
{
    const Module *m = r->session.modules.at[module];
    Buf out = {0};
    if (stage_wanted(r, STAGE_AST))
        ast_print(m->ast, &out, false);
    return stage_show(r, STAGE_AST, m->path, &out);
}

static int show_graph(Run *r, const Net *n)
{
    Buf out = {0};
    if (stage_wanted(r, STAGE_GRAPH))
        graph_print(&n->elab->graph, &out);
    return stage_show(r, STAGE_GRAPH, n->elab->graph.name, &out);
}

int front_analyse(Run *r, NetRef ref, Verdicts verdicts, Net *n)
{
    double t = front_seconds();
    NodeId at;
    ShapeError err;
    *n = (Net){.ref = ref};
    int code = read_options(r, &n->opt);
    if (code == EXIT_FINE)
        code = show_tree(r, ref.module);
    if (code != EXIT_FINE)
        return code;
    n->elab = elab_net(&r->session, &r->net_arena, ref, &n->opt);
    stage_time(r, "elaborate", t);
    if (n->elab == NULL)
        return EXIT_REFUSED;
    t = front_seconds();
    const Graph *g = &n->elab->graph;
    const char *broken = graph_verify(g);
    bool analysed = broken == NULL && analysis_run(&r->net_arena, g, &n->an, &at, &err);
    if (!analysed)
        n->elab = NULL; /* what is half known is not usable */
    if (broken != NULL)
        return front_fail(r, front_blame(EXIT_INTERNAL, broken),
                          "elaboration made an invalid graph: %s", broken);
    if (!analysed)
        return front_fail(r, EXIT_INTERNAL, "analysis of '%s': %s", graph_node(g, at)->name,
                          err.text);
    stage_time(r, "analyse", t);
    code = show_graph(r, n);
    if (code != EXIT_FINE)
        return code;
    if (cli_has(r->cli, OPT_VERBOSE) && (!r->quiet || r->machine))
        front_note(r,
                   "'%s': input %" PRId64 "x%" PRId64 ", n = %" PRId64 "x%" PRId64 ", %" PRId64
                   " parameters, %" PRId64 " MACs",
                   n->elab->graph.name, n->an.input[0], n->an.input[1], n->an.n[0], n->an.n[1],
                   n->an.params, n->an.macs);
    bool replaced = false;
    code = refined_open(r, n, &replaced);
    if (code != EXIT_FINE || replaced) /* what replaced it has been reported */
        return code;
    t = front_seconds();
    if (verdicts != VERDICTS_SILENT)
        verdict_report(r, n, verdicts == VERDICTS_REPAIR);
    stage_time(r, "verdicts", t);
    return diag_failed(&r->session.diags) ? EXIT_REFUSED : EXIT_FINE;
}

int front_open(Run *r, const char *spec, Verdicts verdicts, Net *n)
{
    double t = front_seconds();
    NetRef ref;
    *n = (Net){0};
    if (!elab_find(&r->session, spec, &ref))
        return EXIT_REFUSED;
    stage_time(r, "parse and resolve", t);
    return front_analyse(r, ref, verdicts, n);
}

int front_blame(int code, const char *why)
{
    static const char memory[] = "out of memory"; /* how every layer says it */
    return why != NULL && strncmp(why, memory, sizeof memory - 1) == 0 ? EXIT_LIMIT : code;
}

int front_write(Run *r, const char *path, Buf *text)
{
    const char *err = NULL;
    int code = EXIT_FINE;
    if (!buf_ok(text))
        code = front_fail(r, EXIT_LIMIT, "out of memory");
    else if (!fs_write_all(path != NULL ? path : "-", text->at != NULL ? text->at : "", text->len,
                           false, &err))
        code = front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path != NULL ? path : "stdout",
                          err);
    buf_free(text);
    return code;
}
