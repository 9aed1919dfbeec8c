/* check --fix: the repairs that diagnostics come with, applied to the texts.
 *
 * Edits are collected from one check, applied to copies of the sources, and the copies are checked
 * again in place of the files, until nothing is left to apply. Files are written at the end, each
 * as a whole. Only files named on the command line, and what they import from their own folder, are
 * ever changed. */
#include "driver/commands.h"
#include "sema/sema.h"
#include "support/fs.h"
#include "support/textdiff.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 20, FILES = 256 };

typedef struct Edit {
    uint32_t src, lo, hi;
    const char *text;
    const Diag *why;
    const char *help;
} Edit;

/* A file that was changed. Its texts are malloc'ed: sessions come and go. */
typedef struct Changed {
    char *path, *shown;
    Buf before, now;
} Changed;

typedef struct Fixer {
    Run *r;
    Changed file[FILES];
    Overlay overlay[FILES];
    size_t files;
    Buf said; /* a line per edit */
    uint32_t fixed;
} Fixer;

/* The file of an operand, without the net; NULL when it names none. */
static const char *operand_file(Run *r, const char *spec)
{
    const char *colon = strrchr(spec, ':');
    size_t n = strlen(spec);
    if (n > 4 && strcmp(spec + n - 4, ".cnn") == 0)
        return spec;
    return colon != NULL && colon > spec
               ? arena_strndup(&r->session.arena, spec, (size_t)(colon - spec))
               : NULL;
}

static int check_operands(Run *r)
{
    for (int i = 0; i < r->cli->operand_count; i++) {
        const char *spec = r->cli->operands[i];
        if (strcmp(spec, "-") == 0)
            return front_fail(r, EXIT_USAGE, "--fix repairs files, not the standard input");
        if (operand_file(r, spec) == NULL)
            return front_fail(r, EXIT_USAGE,
                              "--fix repairs files; '%s' is a net of the standard library", spec);
    }
    return EXIT_FINE;
}

/* Whether a file, by its canonical path, is in the folder of one on the command line. */
static bool may_edit(Run *r, const char *path)
{
    for (int i = 0; i < r->cli->operand_count; i++) {
        const char *named = operand_file(r, r->cli->operands[i]);
        char *real = named != NULL ? realpath(named, NULL) : NULL;
        const char *slash = real != NULL ? strrchr(real, '/') : NULL;
        bool ok = slash != NULL && strncmp(real, path, (size_t)(slash - real) + 1) == 0;
        free(real);
        if (ok)
            return true;
    }
    return false;
}

static const Module *module_of(const Session *s, uint32_t src)
{
    for (uint32_t i = 0; i < s->modules.len; i++)
        if (s->modules.at[i]->ast->src == src)
            return s->modules.at[i];
    return NULL;
}

/* The note with the edit to apply: a certain one; else, on request, the first. */
static const DiagNote *choose(const Diag *x, bool suggested)
{
    for (uint32_t i = 0; i < x->notes.len; i++)
        if (x->notes.at[i].edit_text != NULL && x->notes.at[i].certain)
            return &x->notes.at[i];
    for (uint32_t i = 0; suggested && i < x->notes.len; i++)
        if (x->notes.at[i].edit_text != NULL)
            return &x->notes.at[i];
    return NULL;
}

static int by_place(const void *pa, const void *pb)
{
    const Edit *a = pa, *b = pb;
    if (a->src != b->src)
        return a->src < b->src ? -1 : 1;
    if (a->lo != b->lo)
        return a->lo < b->lo ? -1 : 1;
    if (a->hi != b->hi)
        return a->hi < b->hi ? -1 : 1;
    return strcmp(a->text, b->text);
}

static uint32_t collect(Fixer *f, Edit **out)
{
    VEC(Edit) edits = {0};
    Session *s = &f->r->session;
    bool suggested = cli_has(f->r->cli, OPT_FIX_SUGGESTED);
    for (uint32_t i = 0; i < s->diags.all.len; i++) {
        const Diag *x = &s->diags.all.at[i];
        const DiagNote *n = x->level != SEV_ALLOW ? choose(x, suggested) : NULL;
        const Module *m = n != NULL ? module_of(s, n->edit_span.src) : NULL;
        if (m == NULL || m->std || !may_edit(f->r, m->path))
            continue;
        Edit e = {n->edit_span.src, n->edit_span.lo, n->edit_span.hi, n->edit_text, x, n->text};
        vec_push(&s->arena, &edits, e);
    }
    if (edits.len > 0)
        qsort(edits.at, edits.len, sizeof *edits.at, by_place);
    *out = edits.at;
    return edits.len;
}

static Changed *changed_file(Fixer *f, const char *path, const Source *src)
{
    for (size_t i = 0; i < f->files; i++)
        if (strcmp(f->file[i].path, path) == 0)
            return &f->file[i];
    if (f->files == FILES)
        return NULL;
    Changed *c = &f->file[f->files];
    *c = (Changed){.path = strdup(path), .shown = strdup(src->path)};
    buf_addn(&c->before, src->text, src->len);
    if (c->path == NULL || c->shown == NULL || !buf_ok(&c->before)) {
        free(c->path);
        free(c->shown);
        buf_free(&c->before);
        return NULL;
    }
    f->files++;
    return c;
}

static void say_fixed(Fixer *f, const Source *src, const Edit *e)
{
    LineCol at = source_line_col(src, e->lo);
    buf_printf(&f->said, "%s:%u:%u: %s[%s]: %s: %s\n", src->path, at.line, at.col,
               cli_has(f->r->cli, OPT_DRY_RUN) || cli_has(f->r->cli, OPT_DIFF) ? "would fix"
                                                                               : "fixed",
               diag_info[e->why->code].code, e->why->text, e->help);
    f->fixed++;
}

/* Applies the edits of one source that do not overlap; the others wait for the next round. */
static bool apply(Fixer *f, const Edit *e, uint32_t n)
{
    const Source *src = source_get(&f->r->session.sources, e->src);
    Changed *c = changed_file(f, module_of(&f->r->session, e->src)->path, src);
    Buf text = {0};
    uint32_t at = 0;
    if (c == NULL)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (e[i].lo < at || e[i].hi > src->len || (i > 0 && e[i].lo == e[i - 1].lo))
            continue;
        buf_addn(&text, src->text + at, e[i].lo - at);
        buf_add(&text, e[i].text);
        at = e[i].hi;
        while (text.len == 0 && at < src->len && src->text[at] == '\n')
            at++; /* no empty lines where a text begins */
        say_fixed(f, src, &e[i]);
    }
    buf_addn(&text, src->text + at, src->len - at);
    buf_free(&c->now);
    c->now = text;
    return buf_ok(&text);
}

/* One check and the edits it asks for. False when there is nothing more to apply. */
static bool one_round(Fixer *f, int *code)
{
    Edit *edits;
    *code = check_all(f->r);
    if (*code > EXIT_REFUSED || *code == EXIT_STOPPED)
        return false;
    uint32_t n = collect(f, &edits), end;
    if (n == 0)
        return false;
    for (uint32_t i = 0; i < n; i = end) {
        for (end = i; end < n && edits[end].src == edits[i].src;)
            end++;
        if (!apply(f, edits + i, end - i)) {
            *code = front_fail(f->r, EXIT_LIMIT, "out of memory, or more than %d files to repair",
                               FILES);
            return false;
        }
    }
    int start = front_restart(f->r);
    for (size_t i = 0; i < f->files; i++)
        f->overlay[i] = (Overlay){f->file[i].path, f->file[i].now.at, f->file[i].now.len};
    f->r->session.overlays = f->overlay;
    f->r->session.overlay_count = f->files;
    *code = start;
    return start == EXIT_FINE;
}

/* False when the file is no longer what was read. */
static bool unchanged(const Changed *c)
{
    size_t len;
    const char *err;
    char *text = fs_read(c->path, c->before.len, &len, &err);
    bool same =
        text != NULL && len == c->before.len && (len == 0 || memcmp(text, c->before.at, len) == 0);
    free(text);
    return same;
}

static int write_files(Fixer *f)
{
    for (size_t i = 0; i < f->files; i++) {
        const Changed *c = &f->file[i];
        const char *err;
        if (!unchanged(c))
            return front_fail(f->r, EXIT_FILE,
                              "%s was changed by someone else meanwhile: not "
                              "repaired",
                              c->shown);
        if (!fs_write_all(c->path, c->now.at != NULL ? c->now.at : "", c->now.len, false, &err))
            return front_fail(f->r, EXIT_FILE, "%s: %s", c->shown, err);
    }
    return EXIT_FINE;
}

static int print_diff(Fixer *f)
{
    Buf out = {0};
    for (size_t i = 0; i < f->files; i++) {
        const Changed *c = &f->file[i];
        textdiff_unified(
            &f->r->net_arena,
            (TextSide){c->shown, c->before.at != NULL ? c->before.at : "", c->before.len},
            (TextSide){c->shown, c->now.at != NULL ? c->now.at : "", c->now.len}, f->r->colour_out,
            &out);
    }
    return front_write(f->r, NULL, &out);
}

static void report(Fixer *f)
{
    for (char *line = f->said.at, *end; line != NULL && *line != '\0'; line = end + 1) {
        end = strchr(line, '\n');
        *end = '\0';
        if (f->r->machine)
            front_note(f->r, "%s", line);
        else if (!f->r->quiet)
            fprintf(stderr, "%s\n", line);
    }
}

int fix_check(Run *r)
{
    static Fixer f;
    int code = check_operands(r), written = EXIT_FINE;
    if (code != EXIT_FINE)
        return code;
    f.r = r;
    for (int i = 0; i < ROUNDS && one_round(&f, &code); i++)
        continue;
    if (f.fixed > 0 && code <= EXIT_REFUSED) {
        if (cli_has(r->cli, OPT_DIFF))
            written = print_diff(&f);
        else if (!cli_has(r->cli, OPT_DRY_RUN))
            written = write_files(&f);
    }
    if (written == EXIT_FINE)
        report(&f);
    for (size_t i = 0; i < f.files; i++) {
        free(f.file[i].path);
        free(f.file[i].shown);
        buf_free(&f.file[i].before);
        buf_free(&f.file[i].now);
    }
    buf_free(&f.said);
    return written != EXIT_FINE ? written : code;
}
