#include "driver/options.h"
#include "support/intern.h"
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANY = -1 };
const CmdInfo cmd_info[CMD_COUNT] = {
#define CMD(ID, NAME, LETTER, FN, LEAST, MOST, ARGS, DOC)                                          \
    [CMD_##ID] = {NAME, LETTER, LEAST, MOST, ARGS, DOC},
#include "driver/options.def"
};

const OptInfo opt_info[OPT_COUNT] = {
#define OPT(ID, LONG, SHORT, ARG, CMDS, DOC) [OPT_##ID] = {LONG, SHORT, ARG, CMDS, DOC},
#include "driver/options.def"
};

enum { LONG_BASE = 1000, LONG_VERSION = 999 };

const char *cli_exit_text(int code)
{
    static const struct {
        int code;
        const char *text;
    } rows[] = {
#define EXIT(ID, CODE, DOC) {CODE, DOC},
#include "driver/exit.def"
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code)
            return rows[i].text;
    return "unknown";
}

const char *cli_command_name(Command c)
{
    return cmd_info[c].name;
}

bool cli_belongs(Option o, Command c)
{
    return opt_info[o].cmds[0] == '*' ||
           (c != CMD_NONE && strchr(opt_info[o].cmds, cmd_info[c].letter) != NULL);
}

bool cli_has_choices(Option o)
{
    const char *arg = opt_info[o].arg;
    return arg != NULL && islower((unsigned char)arg[arg[0] == '[']) && strchr(arg, '|') != NULL;
}

static void did_you_mean(const char *want, const char *const *names, size_t n, Buf *err)
{
    const char *near = intern_nearest(want, names, n);
    if (near != NULL)
        buf_printf(err, "; did you mean '%s'?", near);
}

static bool find_command(Cli *c, const char *word, Buf *err)
{
    const char *names[CMD_COUNT];
    for (int i = CMD_NONE + 1; i < CMD_COUNT; i++) {
        names[i - 1] = cmd_info[i].name;
        if (strcmp(word, cmd_info[i].name) == 0) {
            c->command = (Command)i;
            return true;
        }
    }
    if (word[0] == '-') {
        buf_printf(err, "'%s' stands before the command; options follow it: cnnc COMMAND OPTION...",
                   word);
        return false;
    }
    buf_printf(err, "unknown command '%s'", word);
    size_t said = err->len;
    did_you_mean(word, names, CMD_COUNT - 1, err);
    buf_add(err, err->len == said ? "; 'cnnc --help' lists them" : "");
    return false;
}

/* The next word of "a|b|c" or "[a|b|c]"; *n is 0 behind the last. */
static const char *next_choice(const char *at, size_t *n)
{
    at += strspn(at, "[|");
    *n = strcspn(at, "|]");
    return at;
}

/* "a, b or c" for "a|b|c" */
static void add_choices(const char *list, Buf *out)
{
    size_t n, said = out->len;
    for (const char *at = list; (at = next_choice(at, &n), n > 0); at += n) {
        if (out->len > said)
            buf_add(out, strchr(at, '|') != NULL ? ", " : " or ");
        buf_addn(out, at, n);
    }
}

static bool check_choice(Option o, const char *text, Buf *err)
{
    size_t n, len = strlen(text);
    for (const char *at = opt_info[o].arg; (at = next_choice(at, &n), n > 0); at += n)
        if (n == len && memcmp(at, text, n) == 0)
            return true;
    buf_printf(err, "--%s takes ", opt_info[o].name);
    add_choices(opt_info[o].arg, err);
    buf_printf(err, ", not '%s'", text);
    return false;
}

/* The row of this name that belongs to the command, when another one does. */
static Option namesake(const Cli *c, Option o)
{
    for (int i = 0; i < OPT_COUNT && !cli_belongs(o, c->command); i++)
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): every row has a name */
        if (strcmp(opt_info[i].name, opt_info[o].name) == 0 && cli_belongs((Option)i, c->command))
            return (Option)i;
    return o;
}

static bool add_value(Cli *c, Option o, const char *text, Buf *err)
{
    o = namesake(c, o);
    if (!cli_belongs(o, c->command)) {
        buf_printf(err, "option --%s does not belong to '%s'; 'cnnc %s --help' lists its options",
                   opt_info[o].name, cmd_info[c->command].name, cmd_info[c->command].name);
        return false;
    }
    if (text != NULL && *text == '\0') {
        buf_printf(err, "option --%s needs a value that is not empty", opt_info[o].name);
        return false;
    }
    if (text != NULL && cli_has_choices(o) && !check_choice(o, text, err))
        return false;
    if (c->value_count == CLI_MAX_VALUES) {
        buf_printf(err, "more than %d options", CLI_MAX_VALUES);
        return false;
    }
    c->values[c->value_count++] = (CliValue){o, text != NULL ? text : ""};
    return true;
}

/* What cnnc train has in the place of an option of timm's; NULL: it is none. */
static const char *timm_option(const char *name)
{
    static const struct {
        const char *name, *text;
    } rows[] = {
#define TIMM(NAME, TEXT) {NAME, TEXT},
#include "driver/timm.def"
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].text;
    return NULL;
}

static void unknown_option(const Cli *c, const char *word, Buf *err)
{
    const char *names[OPT_COUNT + 1];
    size_t n = 0;
    char bare[64];
    buf_printf(err, "unknown option '%s'", word);
    size_t said = err->len;
    if (strncmp(word, "--", 2) == 0 && strcspn(word + 2, "=") < sizeof bare) {
        snprintf(bare, sizeof bare, "%.*s", (int)strcspn(word + 2, "="), word + 2);
        const char *instead = c->command == CMD_TRAIN ? timm_option(bare) : NULL;
        if (instead != NULL) {
            buf_printf(err, " of timm's: %s", instead);
            return;
        }
        for (int i = 0; i < OPT_COUNT; i++)
            if (cli_belongs((Option)i, c->command))
                names[n++] = opt_info[i].name;
        const char *near = intern_nearest(bare, names, n);
        for (size_t i = 0; near == NULL && i < n; i++)
            if (strncmp(names[i], bare, strlen(bare)) == 0) /* an abbreviation */
                near = names[i];
        if (near != NULL)
            buf_printf(err, "; did you mean '--%s'?", near);
    }
    if (err->len == said)
        buf_printf(err, "; 'cnnc %s --help' lists its options", cmd_info[c->command].name);
}

/* getopt_long takes unique abbreviations; the word it has just read tells. */
static bool in_full(char *const *argv, const char *name, bool separate)
{
    const char *word = argv[optind - 1 - separate];
    size_t n = strlen(name);
    return strncmp(word, "--", 2) == 0 && strncmp(word + 2, name, n) == 0 &&
           (word[2 + n] == '\0' || word[2 + n] == '=');
}

static bool take_option(Cli *c, int o, char **argv, Buf *err)
{
    const char *last = argv[optind - 1];
    if (o == '?' && optopt >= LONG_BASE) {
        buf_printf(err, "option '--%s' takes no value", opt_info[optopt - LONG_BASE].name);
        return false;
    }
    if (o == ':' || o == '?') {
        if (o == ':' &&
            (optopt < LONG_BASE || in_full(argv, opt_info[optopt - LONG_BASE].name, false)))
            buf_printf(err, "option '%s' needs a value", last);
        else if (o == '?' && optopt != 0 && optopt < LONG_VERSION)
            buf_printf(err, "unknown option '-%c'; 'cnnc %s --help' lists its options", optopt,
                       cmd_info[c->command].name);
        else
            unknown_option(c, last, err);
        return false;
    }
    int id = o >= LONG_BASE ? o - LONG_BASE : -1;
    const char *name = o == LONG_VERSION ? "version" : id >= 0 ? opt_info[id].name : NULL;
    if (name != NULL) {
        bool separate = optarg != NULL && optarg == last;
        if (!in_full(argv, name, separate)) {
            unknown_option(c, argv[optind - 1 - separate], err);
            return false;
        }
    }
    for (int i = 0; id < 0 && i < OPT_COUNT; i++)
        if (opt_info[i].letter == o)
            id = i;
    if (o == LONG_VERSION)
        c->version = true;
    else if (id == OPT_HELP)
        c->help = true;
    else
        return add_value(c, (Option)id, optarg, err);
    return true;
}

static int arg_kind(Option o)
{
    const char *arg = opt_info[o].arg;
    return arg == NULL ? no_argument : arg[0] == '[' ? optional_argument : required_argument;
}

static bool parse_options(Cli *c, int argc, char **argv, Buf *err)
{
    struct option longs[OPT_COUNT + 2] = {0};
    char shorts[2 * OPT_COUNT + 2] = ":";
    size_t at = 1;
    bool ok = true;
    for (int i = 0; i < OPT_COUNT; i++) {
        longs[i] = (struct option){opt_info[i].name, arg_kind((Option)i), NULL, LONG_BASE + i};
        if (opt_info[i].letter != 0) {
            shorts[at++] = opt_info[i].letter;
            if (opt_info[i].arg != NULL)
                shorts[at++] = ':';
        }
    }
    longs[OPT_COUNT] = (struct option){"version", no_argument, NULL, LONG_VERSION};
    opterr = 0;
    optind = 1;
    for (int o; optopt = 0, (o = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        Buf more = {0};
        if (!take_option(c, o, argv, ok ? err : &more)) /* the first complaint counts */
            ok = false;
        buf_free(&more);
    }
    c->operands = argv + optind;
    c->operand_count = argc - optind;
    return ok;
}

static bool check_operands(const Cli *c, Buf *err)
{
    const CmdInfo *cmd = &cmd_info[c->command];
    if (c->operand_count < cmd->least) {
        buf_printf(err, "'%s' needs %s%s", cmd->name, cmd->args,
                   strncmp(cmd->args, "NET", 3) == 0 ? ": FILE.cnn, FILE.cnn:NET or the name of a "
                                                       "net of the standard library"
                                                     : "");
        return false;
    }
    if (cmd->most >= 0 && c->operand_count > cmd->most) {
        buf_printf(err, "'%s' takes %s, found also '%s'", cmd->name,
                   cmd->most == 0 ? "no operand" : cmd->args, c->operands[cmd->most]);
        return false;
    }
    for (int i = 0; i < c->operand_count; i++)
        if (c->operands[i][0] == '\0') {
            buf_printf(err, "an operand of '%s' is empty", cmd->name);
            return false;
        }
    return true;
}

bool cli_parse(Cli *c, int argc, char **argv, Buf *err)
{
    *c = (Cli){0};
    if (argc < 2) {
        buf_add(err, "no command given; 'cnnc --help' lists them");
        return false;
    }
    if (strcmp(argv[1], "--version") == 0) {
        c->version = true;
        return true;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        c->help = true;
        return argc < 3 || argv[1][0] == '-' || find_command(c, argv[2], err);
    }
    if (!find_command(c, argv[1], err) || !parse_options(c, argc - 1, argv + 1, err))
        return false;
    return c->help || c->version || check_operands(c, err);
}

const char *cli_get(const Cli *c, Option o)
{
    for (int i = c->value_count - 1; i >= 0; i--)
        if (c->values[i].option == o)
            return c->values[i].text;
    return NULL;
}

bool cli_has(const Cli *c, Option o)
{
    return cli_get(c, o) != NULL;
}

bool cli_int(const Cli *c, Option o, int64_t lo, int64_t hi, int64_t def, int64_t *out, Buf *err)
{
    const char *s = cli_get(c, o);
    char *end;
    *out = def;
    if (s == NULL)
        return true;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (end == s || *end != '\0' || errno != 0 || v < lo || v > hi) {
        buf_printf(err, "--%s takes a whole number from %" PRId64 " to %" PRId64 ", not '%s'",
                   opt_info[o].name, lo, hi, s);
        return false;
    }
    *out = v;
    return true;
}
