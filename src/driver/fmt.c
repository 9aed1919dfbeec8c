/* fmt: the canonical layout, in place. */
#include "driver/commands.h"
#include "format/format.h"
#include "support/fs.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SOURCE_LIMIT = 16 << 20, FOLDERS = 64 };

static int format_text(Run *r, const char *path, const char *text, size_t len, Buf *out)
{
    Session *s = &r->session;
    uint32_t errors = s->diags.errors;
    uint32_t src = source_add(&s->sources, path, text, len);
    const Ast *t = parse_file(&s->arena, s->intern, &s->diags, &s->sources, src);
    if (s->diags.errors > errors)
        return EXIT_REFUSED;
    if (!format_ast(t, &s->arena, out))
        return front_fail(r, EXIT_INTERNAL, "%s: the layout would change more than white space",
                          path);
    return EXIT_FINE;
}

static int format_file(Run *r, const char *path)
{
    const char *err;
    size_t len;
    Buf out = {0};
    bool in = strcmp(path, "-") == 0, check = cli_has(r->cli, OPT_CHECK);
    char *text = fs_read(path, SOURCE_LIMIT + 1, &len, &err);
    if (text == NULL)
        return front_fail(r, EXIT_FILE, "%s: %s", path, err);
    int code = format_text(r, in ? "<stdin>" : path, text, len, &out);
    bool same = out.len == len && (len == 0 || memcmp(out.at, text, len) == 0);
    free(text);
    if (code == EXIT_FINE && check && !same) {
        printf("%s\n", path);
        code = EXIT_REFUSED;
    } else if (code == EXIT_FINE && !check && (in || !same)) {
        if (!fs_write_all(path, out.at != NULL ? out.at : "", out.len, false, &err))
            code = front_fail(r, EXIT_FILE, "%s: %s", path, err);
    }
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
