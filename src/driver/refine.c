/* refine: the source of a network whose layers are all productive. */
#include "driver/refined.h"
#include "driver/commands.h"
#include "format/format.h"
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
    const char *shown =
        strncmp(x->base.path, "<refined>/", 10) == 0 ? x->base.path + 10 : x->base.path;
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
        code =
            front_fail(r, EXIT_USAGE, "--in-place changes files; '%s' is no net of a file of yours",
                       r->cli->operands[0]);
    else if (c != NULL && !fs_write_all(x->base.path, text.at, text.len, false, &why))
        code = front_fail(r, front_blame(EXIT_FILE, why), "%s: %s", x->base.path, why);
    buf_free(&text);
    return code;
}

static void list_table(const Refining *x, Buf *out)
{
    const RefineScore *b = &x->result.base;
    buf_printf(out, "%4s %6s %5s %9s %9s %9s  %s\n", "rank", "n", "edits", "params", "MACs",
               "memory", "what");
    for (uint32_t i = 0; i < x->result.all.len; i++) {
        const RefineCandidate *c = &x->result.all.at[i];
        Buf n = {0};
        refined_n_text(c->score.n, &n);
        buf_printf(out, "%4u %6s %5u %+8.1f%% %+8.1f%% %+8.1f%%  ", i + 1, n.at != NULL ? n.at : "",
                   c->edit_count, refined_percent(c->score.params, b->params),
                   refined_percent(c->score.macs, b->macs),
                   refined_percent(c->score.memory, b->memory));
        refined_notes(c, out);
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
        buf_printf(out, "%s{\"rule\":\"%s\",\"text\":", i > 0 ? "," : "",
                   refine_rule_name[c->rule[i]]);
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

/* Proposals, not changes: what is lost by a layer that sees a part of the image is less certain. */
static void say_above(Run *r, const Refining *x)
{
    const RefineScore *b = &x->result.base;
    Buf text = {0};
    refined_notes(&x->result.all.at[0], &text);
    const RefineScore *c = &x->result.all.at[0].score;
    front_note(r,
               "no layer of '%s' sees the whole image: the largest receptive field is %" PRId64
               ", the input %" PRId64 "x%" PRId64 "; with %s it would be %" PRId64
               ", MACs %+.1f %% (--pick=1 makes it so, --list shows %u)",
               x->base.net, b->n_max[0], b->input[0], b->input[1], buf_ok(&text) ? text.at : "",
               c->n_max[0], refined_percent(c->macs, b->macs), x->result.all.len);
    buf_free(&text);
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
    if (x->o.from_above && x->result.all.len > 0 && !cli_has(r->cli, OPT_PICK) && !json) {
        say_above(r, x);
        return cli_has(r->cli, OPT_LIST) ? write_list(r, x) : write_source(r, x, NULL);
    }
    if (x->result.base.feasible && !(x->o.from_above && x->result.all.len > 0)) {
        if (!json)
            front_note(r,
                       "every layer of '%s' is productive as it is: n = %" PRId64 ", input %" PRId64
                       "x%" PRId64,
                       x->base.net, x->result.base.n[0], x->result.base.input[0],
                       x->result.base.input[1]);
        return json || cli_has(r->cli, OPT_LIST) ? write_list(r, x) : write_source(r, x, NULL);
    }
    if (json || (cli_has(r->cli, OPT_LIST) && x->result.all.len > 0)) {
        int code = write_list(r, x);
        if (code != EXIT_FINE || x->result.all.len > 0)
            return code;
    }
    if (x->result.all.len == 0)
        return refined_none(r, &x->net, &x->o, &x->result);
    if (pick > x->result.all.len)
        return front_fail(r, EXIT_USAGE, "--pick=%" PRId64 ": there are %u candidates", pick,
                          x->result.all.len);
    const RefineCandidate *c = &x->result.all.at[pick - 1];
    refined_say(r, x->base.net, &x->result.base, c);
    const char *from = cli_get(r->cli, OPT_TRANSFER), *to = cli_get(r->cli, OPT_OUTPUT);
    if (from != NULL && to == NULL)
        return front_fail(r, EXIT_USAGE, "--transfer needs -o NEW.safetensors");
    if (from != NULL)
        return refined_transfer(r, &x->net, &x->base, c, from, to);
    return write_source(r, x, c);
}

int command_refine(Run *r)
{
    Refining x = {0};
    const char *why = NULL;
    double t;
    int code = front_open(r, r->cli->operands[0], VERDICTS_SILENT, &x.net);
    if (code == EXIT_FINE)
        code = refined_settings(r, &x.net, NULL, &x.o);
    if (code != EXIT_FINE)
        return code;
    if (!refine_base(&r->session, &r->net_arena, x.net.ref, &x.net.opt, &x.base, &why))
        return front_fail(r, front_blame(EXIT_REFUSED, why), "'%s' cannot be rewritten: %s",
                          x.net.ref.name, why);
    code = check_keep(r, &x);
    if (code != EXIT_FINE)
        return code;
    t = front_seconds();
    if (!refine_run(&r->net_arena, &x.base, &x.o, &x.result))
        return x.result.starved
                   ? front_fail(r, EXIT_LIMIT, "out of memory")
                   : front_fail(r, EXIT_INTERNAL, "'%s', written out, is not the same network",
                                x.base.net);
    stage_time(r, "refine", t);
    if (x.result.starved)
        return front_fail(r, EXIT_LIMIT, "out of memory");
    return show(r, &x);
}
