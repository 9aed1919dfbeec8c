#include "driver/stage.h"
#include "driver/front.h"
#include "support/fs.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

static const struct {
    char letter;
    const char *name, *suffix;
} stages[STAGE_COUNT] = {
#define STAGE(ID, LETTER, NAME, SUFFIX, DOC) [STAGE_##ID] = {LETTER, NAME, SUFFIX},
#include "driver/stage.def"
};

static bool printed(const Run *r, Stage s)
{
    const char *letters = cli_get(r->cli, OPT_DUMP);
    return letters != NULL && strchr(letters, stages[s].letter) != NULL;
}

int stage_check_options(Run *r)
{
    const char *letters = cli_get(r->cli, OPT_DUMP), *stop = cli_get(r->cli, OPT_STOP_AFTER);
    const char *names[STAGE_COUNT];
    char known[STAGE_COUNT + 1] = "";
    bool found = stop == NULL,
         front = r->cli->command == CMD_CHECK || r->cli->command == CMD_SUMMARY;
    int last = front ? STAGE_GRAPH : STAGE_LLVM;
    for (int s = 0; s < STAGE_COUNT; s++) {
        known[s] = stages[s].letter;
        names[s] = stages[s].name;
        bool here = stop != NULL && strcmp(stop, stages[s].name) == 0;
        found = found || here;
        if (s > last && (here || printed(r, (Stage)s)))
            return front_fail(r, EXIT_USAGE, "'%s' does not come to stage %s; 'build' does",
                              cli_command_name(r->cli->command), stages[s].name);
    }
    if (letters != NULL && letters[strspn(letters, known)] != '\0')
        return front_fail(r, EXIT_USAGE, "--dump takes letters of '%s', not '%c'", known,
                          letters[strspn(letters, known)]);
    if (found)
        return EXIT_FINE;
    const char *near = intern_nearest(stop, names, STAGE_COUNT);
    return front_fail(r, EXIT_USAGE,
                      "--stop-after takes ast, graph, fuse, plan or llvm, not '%s'%s%s%s", stop,
                      near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* A folder without letters gets every stage. */
static bool written(const Run *r, Stage s)
{
    return cli_has(r->cli, OPT_DUMP_DIR) && (printed(r, s) || !cli_has(r->cli, OPT_DUMP));
}

bool stage_wanted(const Run *r, Stage s)
{
    return printed(r, s) || written(r, s);
}

/* Names of nets are identifiers; of files, only the last part is used. */
static int write_stage(Run *r, Stage s, const char *name, const Buf *text)
{
    const char *dir = cli_get(r->cli, OPT_DUMP_DIR), *slash = strrchr(name, '/'), *err;
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return front_fail(r, EXIT_FILE, "%s: %s", dir, strerror(errno));
    const char *path = arena_printf(&r->session.arena, "%s/%s.%s", dir,
                                    slash != NULL ? slash + 1 : name, stages[s].suffix);
    if (!fs_write_all(path, text->at != NULL ? text->at : "", text->len, false, &err))
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    return EXIT_FINE;
}

int stage_show(Run *r, Stage s, const char *name, Buf *text)
{
    const char *stop = cli_get(r->cli, OPT_STOP_AFTER);
    int code = EXIT_FINE;
    if (!buf_ok(text))
        code = front_fail(r, EXIT_LIMIT, "out of memory");
    else if (written(r, s))
        code = write_stage(r, s, name, text);
    else if (printed(r, s) && text->at != NULL)
        fwrite(text->at, 1, text->len, stderr);
    buf_free(text);
    if (code == EXIT_FINE && stop != NULL && strcmp(stop, stages[s].name) == 0)
        return EXIT_STOPPED;
    return code;
}

void stage_time(Run *r, const char *pass, double since)
{
    StageClock *c = &r->clock;
    double spent = front_seconds() - since;
    int at = 0;
    if (!cli_has(r->cli, OPT_TIME_PASSES))
        return;
    while (at < c->count && strcmp(c->row[at].pass, pass) != 0)
        at++;
    if (at == STAGE_TIMES)
        return;
    if (at == c->count)
        c->row[c->count++] = (StageTime){.pass = pass};
    c->row[at].seconds += spent;
    c->row[at].runs++;
}

void stage_report(Run *r)
{
    const StageClock *c = &r->clock;
    struct rusage used;
    double total = 0;
    if (!cli_has(r->cli, OPT_TIME_PASSES))
        return;
    for (int i = 0; i < c->count; i++)
        total += c->row[i].seconds;
    fprintf(stderr, "%-24s %10s %7s %6s\n", "pass", "ms", "share", "runs");
    for (int i = 0; i < c->count; i++)
        fprintf(stderr, "%-24s %10.2f %6.1f%% %6d\n", c->row[i].pass, 1e3 * c->row[i].seconds,
                total > 0 ? 100 * c->row[i].seconds / total : 0.0, c->row[i].runs);
    getrusage(RUSAGE_SELF, &used);
    fprintf(stderr, "%-24s %10.2f; peak memory %.1f MiB\n", "all", 1e3 * total,
            (double)used.ru_maxrss / 1024);
}
