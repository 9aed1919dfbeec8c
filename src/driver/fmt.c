/* fmt: the canonical layout, in place. */
#include "driver/commands.h"
#include "format/format.h"
#include "support/fs.h"
#include "support/textdiff.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCE_LIMIT = 16 << 20 };

static int format_text(Run *r, const char *path, const char *text, size_t len, Buf *out)
{
    Session *s = &r->session;
    uint32_t errors = s->diags.errors;
    uint32_t src = source_add(&s->sources, path, text, len);
    const Ast *t = parse_file(&s->arena, s->intern, &s->diags, &s->sources, src);
    if (s->diags.errors > errors)
        return EXIT_REFUSED;
    bool ok = format_ast(t, &s->arena, out);
    if (!buf_ok(out))
        return front_fail(r, EXIT_LIMIT, "out of memory");
    if (!ok)
        return front_fail(r, EXIT_INTERNAL, "%s: the layout would change more than white space",
                          path);
    return EXIT_FINE;
}

static void show_difference(Run *r, const char *name, TextSide old, const Buf *new)
{
    Buf out = {0};
    TextSide to = {name, new->at != NULL ? new->at : "", new->len};
    old.name = name;
    textdiff_unified(&r->net_arena, old, to, r->colour_out, &out);
    if (out.at != NULL)
        fwrite(out.at, 1, out.len, stdout);
    buf_free(&out);
}

static int format_file(Run *r, const char *path)
{
    const char *err, *name = strcmp(path, "-") == 0 ? "<stdin>" : path;
    size_t len;
    Buf out = {0};
    bool check = cli_has(r->cli, OPT_CHECK), diff = cli_has(r->cli, OPT_DIFF);
    char *text = fs_read(path, SOURCE_LIMIT + 1, &len, &err);
    if (text == NULL)
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    int code = format_text(r, name, text, len, &out);
    bool same = out.len == len && (len == 0 || memcmp(out.at, text, len) == 0);
    if (code == EXIT_FINE && (check || diff)) {
        if (!same && diff)
            show_difference(r, name, (TextSide){.at = text, .len = len}, &out);
        else if (!same)
            printf("%s\n", name);
        code = same || !check ? EXIT_FINE : EXIT_REFUSED;
    } else if (code == EXIT_FINE && (name != path || !same)) {
        if (!fs_write_all(path, out.at != NULL ? out.at : "", out.len, false, &err))
            code = front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    }
    free(text);
    buf_free(&out);
    return code;
}

int command_fmt(Run *r)
{
    int code = EXIT_FINE;
    for (int i = 0; i < r->cli->operand_count; i++) {
        int one = format_file(r, r->cli->operands[i]);
        code = one > code ? one : code;
    }
    return code;
}
