/* nets: what the library or a file declares, with what is known about each at its declared input.
 */
#include "driver/commands.h"
#include "report/nets.h"
#include "sema/sema.h"
#include <fnmatch.h>
#include <string.h>

typedef VEC(NetRow) NetRows;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The lines of a comment as one text, from the one that starts at `lo` to the first that is none;
 * NULL when it says nothing. */
static const char *comment_text(Run *r, const Source *s, uint32_t lo)
{
    Arena *a = &r->session.arena;
    VEC(char) text = {0};
    uint32_t len;
    for (uint32_t line = source_line_col(s, lo).line; line <= s->lines; line++) {
        const char *at = source_line(s, line, &len), *end = at + len;
        while (at < end && is_blank(*at))
            at++;
        if (at == end || *at != '#')
            break;
        while (at < end && (*at == '#' || is_blank(*at)))
            at++;
        while (end > at && is_blank(end[-1]))
            end--;
        if (at < end && text.len > 0)
            vec_push(a, &text, ' ');
        for (; at < end; at++)
            if (*at != '\0')
                vec_push(a, &text, *at);
    }
    if (text.len == 0)
        return NULL;
    vec_push(a, &text, '\0');
    return text.at;
}

/* The comment on the lines right above a place, NULL when there is none. */
static const char *comment_above(Run *r, const Source *s, uint32_t lo)
{
    uint32_t line = source_line_col(s, lo).line, first = line, len;
    while (first > 1) {
        const char *at = source_line(s, first - 1, &len);
        uint32_t blanks = 0;
        while (blanks < len && is_blank(at[blanks]))
            blanks++;
        if (blanks == len || at[blanks] != '#')
            break;
        first--;
    }
    return first < line ? comment_text(r, s, s->line_start[first - 1]) : NULL;
}

/* The comment above a net; one above short nets that follow each other line by line is all of
 * theirs. */
static const char *net_doc(Run *r, const Module *m, const Source *s, AstId decl)
{
    uint32_t i = 0;
    while (m->decls.at[i].node.v != decl.v)
        i++;
    for (;; i--) {
        const AstNode *net = node_at(m, m->decls.at[i].node);
        const char *text = comment_above(r, s, net->span.lo);
        const AstNode *before = i > 0 ? node_at(m, m->decls.at[i - 1].node) : NULL;
        if (text != NULL || before == NULL || before->kind != AST_NETALIAS ||
            source_line_col(s, before->span.hi).line + 1 != source_line_col(s, net->span.lo).line)
            return text;
    }
}

static bool matches(const Run *r, const char *name)
{
    const char *pattern = cli_get(r->cli, OPT_MATCH);
    return pattern == NULL || fnmatch(pattern, name, FNM_NOESCAPE) == 0;
}

static void add_row(Run *r, Net *n, NetRows *rows)
{
    const Module *m = r->session.modules.at[n->ref.module];
    const Source *src = source_get(&r->session.sources, m->ast->src);
    Span at = node_at(m, n->ref.decl)->span;
    Shape in = n->an.shape[n->an.g->ins.at[0].node.v];
    const NetRow *last = rows->len > 0 ? &vec_last(rows) : NULL;
    NetRow row = {.name = n->ref.name,
                  .file = src->path,
                  .about = last != NULL && last->file == src->path ? last->about
                                                                   : comment_text(r, src, 0),
                  .line = source_line_col(src, at.lo).line,
                  .doc = net_doc(r, m, src, n->ref.decl),
                  .input = {in.c, in.h, in.w},
                  .n = {n->an.n[0], n->an.n[1]},
                  .params = n->an.params,
                  .macs = n->an.macs,
                  .layers = report_layers(&n->an),
                  .refused = verdict_refuses(r, n)};
    memcpy(row.count, n->an.count, sizeof row.count);
    vec_push(&r->session.arena, rows, row);
}

/* A net that only others build on has nothing to show; in the library that goes without saying. */
static void say_left_out(Run *r, NetRef ref)
{
    const Module *m = r->session.modules.at[ref.module];
    const Source *src = source_get(&r->session.sources, m->ast->src);
    if (m->std || (r->quiet && !r->machine))
        return;
    front_note(r, "%s:%u: '%s' is not listed: it has parameters without a default", src->path,
               source_line_col(src, node_at(m, ref.decl)->span.lo).line, ref.name);
}

static int list_all(Run *r, const NetRef *nets, uint32_t count, SummaryFormat format, Buf *out)
{
    NetRows rows = {0};
    int code = EXIT_FINE;
    for (uint32_t i = 0; i < count; i++) {
        Net n;
        if (!matches(r, nets[i].name))
            continue;
        if (!nets[i].concrete) {
            say_left_out(r, nets[i]);
            continue;
        }
        int one = front_analyse(r, nets[i], VERDICTS_SILENT, &n);
        code = one > code ? one : code;
        if (n.elab != NULL)
            add_row(r, &n, &rows);
        arena_reset(&r->net_arena);
    }
    report_nets(rows.at, rows.len, format, r->colour_out && !cli_has(r->cli, OPT_OUTPUT), out);
    return code;
}

int command_nets(Run *r)
{
    NetRef *nets;
    Buf out = {0};
    const char *file = r->cli->operand_count > 0 ? r->cli->operands[0] : NULL;
    bool names = cli_has(r->cli, OPT_NAMES), any = false;
    int code = EXIT_FINE;
    if (names && cli_has(r->cli, OPT_FORMAT))
        return front_fail(r, EXIT_USAGE, "--names is a form of its own: leave out --format");
    uint32_t count =
        file != NULL ? elab_nets(&r->session, file, &nets) : elab_std_nets(&r->session, &nets);
    if (diag_failed(&r->session.diags))
        return EXIT_REFUSED;
    for (uint32_t i = 0; i < count; i++) {
        bool listed = matches(r, nets[i].name);
        any = any || listed;
        if (names && listed && nets[i].concrete)
            buf_printf(&out, "%s\n", nets[i].name);
    }
    if (!any && cli_has(r->cli, OPT_MATCH))
        return front_fail(r, EXIT_USAGE, "no net is called '%s'", cli_get(r->cli, OPT_MATCH));
    if (!names)
        code = list_all(r, nets, count, command_format(r), &out);
    int wrote = front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
    return wrote > code ? wrote : code;
}
