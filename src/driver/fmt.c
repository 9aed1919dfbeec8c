/* fmt: the canonical layout, in place. */
#include "driver/commands.h"
#include "format/format.h"
#include "support/fs.h"
#include "support/textdiff.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SOURCE_LIMIT = 16 << 20 };

static int worse(int a, int b)
{
    return a > b ? a : b;
}

/* What the system says about a file; memory is not the file's fault. */
static int system_error(Run *r, const char *path, int number)
{
    if (number == ENOMEM)
        return front_fail(r, EXIT_LIMIT, "out of memory");
    return front_fail(r, EXIT_FILE, "%s: %s", path, strerror(number));
}

static int print(Run *r, const Buf *text)
{
    if (!buf_ok(text))
        return front_fail(r, EXIT_LIMIT, "out of memory");
    if (text->len > 0 && fwrite(text->at, 1, text->len, stdout) != text->len)
        return system_error(r, "stdout", errno);
    return EXIT_FINE;
}

/* A file that may not be written to is not replaced, either. */
static int replace(Run *r, const char *path, const Buf *made)
{
    const char *err = NULL;
    const char *text = made->at != NULL ? made->at : "";
    if (strcmp(path, "-") != 0 && access(path, W_OK) != 0)
        err = strerror(errno);
    else if (fs_write_all(path, text, made->len, false, &err))
        return EXIT_FINE;
    return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
}

/* What is done with the result: checked, shown or written. */
static int deliver(Run *r, const char *path, TextSide old, const Buf *made)
{
    bool check = cli_has(r->cli, OPT_CHECK), diff = cli_has(r->cli, OPT_DIFF);
    bool in = strcmp(path, "-") == 0;
    Buf said = {0};
    int code = EXIT_FINE;
    if (made->len == old.len && (old.len == 0 || memcmp(made->at, old.at, old.len) == 0))
        return in && !check && !diff ? replace(r, path, made) : EXIT_FINE;
    if (!check && !diff)
        return replace(r, path, made);
    if (diff)
        textdiff_unified(&r->net_arena, old, (TextSide){old.name, made->at, made->len},
                         r->colour_out, &said);
    else
        buf_printf(&said, "%s\n", old.name);
    code = worse(check ? EXIT_REFUSED : EXIT_FINE, print(r, &said));
    buf_free(&said);
    return code;
}

static int format_text(Run *r, const char *path, TextSide old)
{
    Session *s = &r->session;
    Buf made = {0};
    uint32_t errors = s->diags.errors;
    uint32_t src = source_add(&s->sources, old.name, old.at, old.len);
    const Ast *t = parse_file(&r->net_arena, s->intern, &s->diags, &s->sources, src);
    int code = s->diags.errors > errors ? EXIT_REFUSED : EXIT_FINE;
    if (code == EXIT_FINE && !format_ast(t, &r->net_arena, s->intern, &made))
        code = !buf_ok(&made)
                   ? front_fail(r, EXIT_LIMIT, "out of memory")
                   : front_fail(r, EXIT_INTERNAL,
                                "%s: the layout would change more than white space; nothing is "
                                "written. Please report it with the file",
                                old.name);
    if (code == EXIT_FINE)
        code = deliver(r, path, old, &made);
    buf_free(&made);
    arena_reset(&r->net_arena);
    return code;
}

static int format_file(Run *r, const char *path)
{
    const char *err;
    size_t len;
    char *text = fs_read(path, SOURCE_LIMIT + 1, &len, &err);
    if (text == NULL)
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    TextSide old = {strcmp(path, "-") == 0 ? "<stdin>" : path, text, len};
    int code = format_text(r, path, old);
    free(text);
    return code;
}

typedef VEC(char *) Paths;

static int by_name_backwards(const void *a, const void *b)
{
    return -strcmp(*(char *const *)a, *(char *const *)b);
}

/* Puts what is in a folder on the list, the first by name last; hidden ones are left out. */
static int list_folder(Run *r, const char *path, Paths *out)
{
    Arena *a = &r->session.arena;
    uint32_t first = out->len;
    const char *slash = path[strlen(path) - 1] == '/' ? "" : "/";
    struct dirent *e;
    DIR *d = opendir(path);
    if (d == NULL)
        return system_error(r, path, errno);
    while (errno = 0, (e = readdir(d)) != NULL)
        if (*e->d_name != '.')
            vec_push(a, out, arena_printf(a, "%s%s%s", path, slash, e->d_name));
    int code = errno != 0 ? system_error(r, path, errno) : EXIT_FINE;
    closedir(d);
    if (out->len > first)
        qsort(out->at + first, out->len - first, sizeof *out->at, by_name_backwards);
    return code;
}

/* The .cnn files of a folder and of those in it; links are not followed. */
static int format_folder(Run *r, const char *path)
{
    Paths paths = {0};
    int code = list_folder(r, path, &paths);
    while (paths.len > 0) {
        const char *next = paths.at[--paths.len];
        size_t n = strlen(next);
        struct stat st;
        if (lstat(next, &st) != 0)
            code = worse(code, system_error(r, next, errno));
        else if (S_ISDIR(st.st_mode))
            code = worse(code, list_folder(r, next, &paths));
        else if (S_ISREG(st.st_mode) && n > 4 && strcmp(next + n - 4, ".cnn") == 0)
            code = worse(code, format_file(r, next));
    }
    return code;
}

int command_fmt(Run *r)
{
    int code = EXIT_FINE;
    for (int i = 0; i < r->cli->operand_count; i++) {
        const char *path = r->cli->operands[i];
        struct stat st;
        bool folder = strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
        code = worse(code, folder ? format_folder(r, path) : format_file(r, path));
    }
    return code;
}
