/* refine: the source of a network whose layers are all productive. */
#include "refine/refine.h"
#include "driver/commands.h"
#include "format/format.h"
#include "refine/repair.h"
#include "support/fs.h"
#include "support/textdiff.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct Refining {
    Net net;
    RefineBase base;
    RefineOptions o;
    RefineResult result;
    double seconds;
} Refining;

static int read_word(Run *r, Option option, const char *const *words, int count, int *out)
{
    const char *given = cli_get(r->cli, option);
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

/* "300M", "1.2G", "120%" of the original; 0 when not given. */
static int read_bound(Run *r, Option option, int64_t of, int64_t *out)
{
    const char *s = cli_get(r->cli, option);
    char *end;
    *out = 0;
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
        return front_fail(r, EXIT_USAGE, "--%s takes a number such as 300M, 1.2G or 120%%, not '%s'",
                          opt_info[option].name, s);
    *out = (int64_t)(v * unit);
    return EXIT_FINE;
}

static int read_bounds(Run *r, Refining *x)
{
    const Analysis *a = &x->net.an;
    int code = read_bound(r, OPT_MAX_MACS, a->macs, &x->o.max_macs);
    if (code == EXIT_FINE)
        code = read_bound(r, OPT_MAX_PARAMS, a->params, &x->o.max_params);
    if (code == EXIT_FINE)
        code = read_bound(r, OPT_MAX_MEMORY, a->act_peak, &x->o.max_memory);
    return code;
}

static int read_settings(Run *r, Refining *x)
{
    static const char *const strategies[] = {"less-downsampling", "shorter-wider", "fit"};
    static const char *const orders[] = {"max-accuracy", "min-cost"};
    VEC(const char *) keep = {0};
    Buf err = {0};
    int strategy = REFINE_LESS_DOWNSAMPLING, order = REFINE_CLOSEST;
    int64_t edits;
    int code = read_word(r, OPT_STRATEGY, strategies, 3, &strategy);
    if (code == EXIT_FINE)
        code = read_word(r, OPT_ORDER, orders, 2, &order);
    if (code == EXIT_FINE && !cli_int(r->cli, OPT_EDITS, 1, 8, 0, &edits, &err)) {
        code = front_fail(r, EXIT_USAGE, "%s", err.at);
        buf_free(&err);
    }
    if (code != EXIT_FINE)
        return code;
    for (int i = 0; i < r->cli->value_count; i++)
        if (r->cli->values[i].option == OPT_KEEP)
            vec_push(&r->net_arena, &keep, r->cli->values[i].text);
    x->o = (RefineOptions){.strategy = (RefineStrategy)strategy,
                           .order = (RefineOrder)order,
                           .edits = (uint32_t)edits,
                           .param_slack = 0.02,
                           .keep = keep.at,
                           .keep_count = keep.len,
                           .std_path = r->session.std_path};
    return read_bounds(r, x);
}

/* The stages named by --keep must exist. */
static int check_keep(Run *r, const Refining *x)
{
    for (uint32_t i = 0; i < x->o.keep_count; i++) {
        bool found = false;
        for (uint32_t k = 1; k < x->net.elab->insts.len && !found; k++)
            found = x->net.elab->insts.at[k].kind == INST_STAGE &&
                    strcmp(x->net.elab->insts.at[k].name, x->o.keep[i]) == 0;
        if (!found)
            return front_fail(r, EXIT_USAGE, "--keep: '%s' has no stage '%s'", x->base.net,
                              x->o.keep[i]);
    }
    return EXIT_FINE;
}

static double percent(int64_t now, int64_t before)
{
    return before > 0 ? 100.0 * ((double)now - (double)before) / (double)before : 0;
}

static void n_text(const int64_t n[2], Buf *out)
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
        buf_printf(out, ", %s %+.1f %%", what, percent(now, before));
}

static void notes_text(const RefineCandidate *c, Buf *out)
{
    for (uint32_t i = 0; i < c->notes; i++)
        buf_printf(out, "%s%s", i > 0 ? "; " : "", c->what[i]);
}

static void say_chosen(Run *r, const Refining *x, const RefineCandidate *c)
{
    Buf text = {0};
    const RefineScore *b = &x->result.base;
    notes_text(c, &text);
    buf_add(&text, ": n ");
    n_text(b->n, &text);
    buf_add(&text, " -> ");
    n_text(c->score.n, &text);
    change_text("parameters", c->score.params, b->params, &text);
    change_text("MACs", c->score.macs, b->macs, &text);
    change_text("memory", c->score.memory, b->memory, &text);
    front_note(r, "'%s' refined for %" PRId64 "x%" PRId64 ": %s", x->base.net, b->input[0],
               b->input[1], buf_ok(&text) ? text.at : "");
    buf_free(&text);
}

/* The edited source; a net that was written out anew is also laid out anew. */
static bool final_text(Run *r, const Refining *x, const RefineCandidate *c, Buf *out)
{
    const char *text = c != NULL ? c->text : x->base.text;
    size_t len = c != NULL ? c->len : x->base.len;
    Session *s = &r->session;
    buf_addn(out, text, len);
    if (!x->base.copied || c == NULL)
        return buf_ok(out);
    uint32_t errors = s->diags.errors;
    uint32_t src = source_add(&s->sources, "<refined>", text, len);
    const Ast *t = parse_file(&r->net_arena, s->intern, &s->diags, &s->sources, src);
    Buf laid = {0};
    if (s->diags.errors == errors && format_ast(t, &r->net_arena, s->intern, &laid) &&
        buf_ok(&laid)) {
        buf_free(out);
        *out = laid;
    } else {
        buf_free(&laid);
    }
    return buf_ok(out);
}

static int write_diff(Run *r, const Refining *x, Buf *now)
{
    Buf out = {0};
    const char *shown = strncmp(x->base.path, "<refined>/", 10) == 0 ? x->base.path + 10 : x->base.path;
    const char *slash = strrchr(shown, '/'), *name = slash != NULL ? slash + 1 : shown;
    TextSide a = {arena_printf(&r->net_arena, "a/%s", name), x->base.text, x->base.len};
    TextSide b = {arena_printf(&r->net_arena, "b/%s", name), now->at, now->len};
    textdiff_unified(&r->net_arena, a, b, r->colour_out && !cli_has(r->cli, OPT_OUTPUT), &out);
    buf_free(now);
    return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
}

static int write_source(Run *r, const Refining *x, const RefineCandidate *c)
{
    Buf text = {0};
    const char *why = NULL;
    if (!final_text(r, x, c, &text)) {
        buf_free(&text);
        return front_fail(r, EXIT_LIMIT, "out of memory");
    }
    if (cli_has(r->cli, OPT_DIFF))
        return write_diff(r, x, &text);
    if (!cli_has(r->cli, OPT_IN_PLACE))
        return front_write(r, cli_get(r->cli, OPT_OUTPUT), &text);
    int code = EXIT_FINE;
    if (x->base.path[0] == '<' || strcmp(x->base.path, "-") == 0)
        code = front_fail(r, EXIT_USAGE, "--in-place changes files; '%s' is no net of a file of yours",
                          r->cli->operands[0]);
    else if (c != NULL && !fs_write_all(x->base.path, text.at, text.len, false, &why))
        code = front_fail(r, front_blame(EXIT_FILE, why), "%s: %s", x->base.path, why);
    buf_free(&text);
    return code;
}

static void list_table(const Refining *x, Buf *out)
{
    const RefineScore *b = &x->result.base;
    buf_printf(out, "%4s %6s %5s %9s %9s %9s  %s\n", "rank", "n", "edits", "params", "MACs", "memory",
               "what");
    for (uint32_t i = 0; i < x->result.all.len; i++) {
        const RefineCandidate *c = &x->result.all.at[i];
        Buf n = {0};
        n_text(c->score.n, &n);
        buf_printf(out, "%4u %6s %5u %+8.1f%% %+8.1f%% %+8.1f%%  ", i + 1, n.at != NULL ? n.at : "",
                   c->edit_count, percent(c->score.params, b->params), percent(c->score.macs, b->macs),
                   percent(c->score.memory, b->memory));
        notes_text(c, out);
        buf_addc(out, '\n');
        buf_free(&n);
    }
}

static void json_score(const RefineScore *s, Buf *out)
{
    buf_printf(out,
               "\"n\":[%" PRId64 ",%" PRId64 "],\"params\":%" PRId64 ",\"macs\":%" PRId64
               ",\"memory\":%" PRId64,
               s->n[0], s->n[1], s->params, s->macs, s->memory);
}

static void json_candidate(const Refining *x, const RefineCandidate *c, Buf *out)
{
    buf_add(out, "{");
    json_score(&c->score, out);
    buf_printf(out, ",\"applications\":%u,\"rules\":[", c->ops);
    for (uint32_t i = 0; i < c->notes; i++) {
        buf_printf(out, "%s{\"rule\":\"%s\",\"text\":", i > 0 ? "," : "", refine_rule_name[c->rule[i]]);
        buf_json_string(out, c->what[i]);
        buf_addc(out, '}');
    }
    buf_add(out, "],\"edits\":[");
    for (uint32_t i = 0; i < c->edit_count; i++) {
        const RefineEdit *e = &c->edit[i];
        char *old = strndup(x->base.text + e->lo, e->hi - e->lo);
        buf_printf(out, "%s{\"lo\":%u,\"hi\":%u,\"old\":", i > 0 ? "," : "", e->lo, e->hi);
        buf_json_string(out, old != NULL ? old : "");
        buf_add(out, ",\"new\":");
        buf_json_string(out, e->text);
        buf_addc(out, '}');
        free(old);
    }
    buf_add(out, "]}");
}

static void list_json(const Refining *x, Buf *out)
{
    const RefineScore *b = &x->result.base;
    buf_add(out, "{\"schema\":1,\"net\":");
    buf_json_string(out, x->base.net);
    buf_printf(out, ",\"input\":[%" PRId64 ",%" PRId64 "],\"feasible\":%s,\"base\":{", b->input[0],
               b->input[1], b->feasible ? "true" : "false");
    json_score(b, out);
    buf_printf(out, "},\"tried\":%u,\"candidates\":[", x->result.tried);
    for (uint32_t i = 0; i < x->result.all.len; i++) {
        buf_add(out, i > 0 ? ",\n" : "\n");
        json_candidate(x, &x->result.all.at[i], out);
    }
    buf_add(out, "\n]}\n");
}

static int write_list(Run *r, const Refining *x)
{
    Buf out = {0};
    const char *format = cli_get(r->cli, OPT_FORMAT);
    if (format != NULL && strcmp(format, "json") == 0)
        list_json(x, &out);
    else
        list_table(x, &out);
    return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
}

/* No candidate: the least that would do, if anything would. */
static int say_infeasible(Run *r, Refining *x)
{
    const RefineResult *res = &x->result;
    Buf text = {0};
    if (res->bounded) {
        const char *sep = "";
        if (x->o.max_macs > 0) {
            buf_printf(&text, "%s--max-macs=%" PRId64 " (%+.1f %%)", sep, res->least_macs,
                       percent(res->least_macs, res->base.macs));
            sep = ", ";
        }
        if (x->o.max_params > 0) {
            buf_printf(&text, "%s--max-params=%" PRId64, sep, res->least_params);
            sep = ", ";
        }
        if (x->o.max_memory > 0)
            buf_printf(&text, "%s--max-memory=%" PRId64 " (%+.1f %%)", sep, res->least_memory,
                       percent(res->least_memory, res->base.memory));
        int code = front_fail(r, EXIT_REFUSED, "no refinement of '%s' is within the bounds; the least "
                              "that would do is %s", x->base.net, buf_ok(&text) ? text.at : "");
        buf_free(&text);
        return code;
    }
    if (res->least_n[0] > 0)
        buf_printf(&text, "; the smallest n that was found is %" PRId64,
                   res->least_n[0] > res->least_n[1] ? res->least_n[0] : res->least_n[1]);
    int64_t input = repair_resolution(&r->session, x->net.ref, &x->net.opt, &x->net.an);
    if (input > 0)
        buf_printf(&text, "; an input of %" PRId64 "x%" PRId64 " would do as it is", input, input);
    int code = front_fail(r, EXIT_REFUSED, "nothing was found that makes '%s' productive at %" PRId64
                          "x%" PRId64 "%s", x->base.net, res->base.input[0], res->base.input[1],
                          text.at != NULL ? text.at : "");
    buf_free(&text);
    return code;
}

static int show(Run *r, Refining *x)
{
    const char *format = cli_get(r->cli, OPT_FORMAT);
    bool json = format != NULL && strcmp(format, "json") == 0;
    Buf err = {0};
    int64_t pick;
    if (!cli_int(r->cli, OPT_PICK, 1, 1 << 20, 1, &pick, &err)) {
        int code = front_fail(r, EXIT_USAGE, "%s", err.at);
        buf_free(&err);
        return code;
    }
    if (x->result.base.feasible) {
        if (!json)
            front_note(r, "every layer of '%s' is productive as it is: n = %" PRId64 ", input %" PRId64
                       "x%" PRId64, x->base.net, x->result.base.n[0], x->result.base.input[0],
                       x->result.base.input[1]);
        return json || cli_has(r->cli, OPT_LIST) ? write_list(r, x) : write_source(r, x, NULL);
    }
    if (json || (cli_has(r->cli, OPT_LIST) && x->result.all.len > 0)) {
        int code = write_list(r, x);
        if (code != EXIT_FINE || x->result.all.len > 0)
            return code;
    }
    if (x->result.all.len == 0)
        return say_infeasible(r, x);
    if (pick > x->result.all.len)
        return front_fail(r, EXIT_USAGE, "--pick=%" PRId64 ": there are %u candidates", pick,
                          x->result.all.len);
    const RefineCandidate *c = &x->result.all.at[pick - 1];
    say_chosen(r, x, c);
    return write_source(r, x, c);
}

int command_refine(Run *r)
{
    Refining x = {0};
    const char *why = NULL;
    double t;
    int code = front_open(r, r->cli->operands[0], VERDICTS_SILENT, &x.net);
    if (code == EXIT_FINE)
        code = read_settings(r, &x);
    if (code != EXIT_FINE)
        return code;
    if (!refine_base(&r->session, &r->net_arena, x.net.ref, &x.net.opt, &x.base, &why))
        return front_fail(r, EXIT_REFUSED, "'%s' cannot be rewritten: %s", x.net.ref.name, why);
    code = check_keep(r, &x);
    if (code != EXIT_FINE)
        return code;
    t = front_seconds();
    if (!refine_run(&r->net_arena, &x.base, &x.o, &x.result))
        return front_fail(r, EXIT_INTERNAL, "'%s', written out, is not the same network", x.base.net);
    stage_time(r, "refine", t);
    return show(r, &x);
}
