#include "driver/options.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef struct CmdInfo {
    const char *name;
    char letter;
    int least, most; /* operands; most < 0: any number */
    const char *args, *doc;
} CmdInfo;
enum { ANY = -1 };
static const CmdInfo cmd_info[CMD_COUNT] = {
#define CMD(ID, NAME, LETTER, FN, LEAST, MOST, ARGS, DOC)                                          \
    [CMD_##ID] = {NAME, LETTER, LEAST, MOST, ARGS, DOC},
#include "driver/options.def"
};

typedef struct OptInfo {
    const char *name;
    char letter;
    const char *arg, *cmds, *doc;
} OptInfo;
static const OptInfo opt_info[OPT_COUNT] = {
#define OPT(ID, LONG, SHORT, ARG, CMDS, DOC) [OPT_##ID] = {LONG, SHORT, ARG, CMDS, DOC},
#include "driver/options.def"
};

enum { LONG_BASE = 1000, LONG_VERSION = 999 };

const char *cli_command_name(Command c)
{
    return cmd_info[c].name;
}

static bool belongs(Option o, Command c)
{
    return opt_info[o].cmds[0] == '*' ||
           (c != CMD_NONE && strchr(opt_info[o].cmds, cmd_info[c].letter) != NULL);
}

static bool find_command(Cli *c, const char *word, Buf *err)
{
    for (int i = CMD_NONE + 1; i < CMD_COUNT; i++)
        if (strcmp(word, cmd_info[i].name) == 0) {
            c->command = (Command)i;
            return true;
        }
    buf_printf(err, "unknown command '%s'; 'cnnc --help' lists them", word);
    return false;
}

static bool add_value(Cli *c, Option o, const char *text, Buf *err)
{
    if (!belongs(o, c->command)) {
        buf_printf(err, "option --%s does not belong to '%s'; 'cnnc %s --help' lists its options",
                   opt_info[o].name, cmd_info[c->command].name, cmd_info[c->command].name);
        return false;
    }
    if (c->value_count == CLI_MAX_VALUES) {
        buf_printf(err, "more than %d options", CLI_MAX_VALUES);
        return false;
    }
    c->values[c->value_count++] = (CliValue){o, text != NULL ? text : ""};
    return true;
}

static bool parse_options(Cli *c, int argc, char **argv, Buf *err)
{
    struct option longs[OPT_COUNT + 2] = {0};
    char shorts[2 * OPT_COUNT + 2] = ":";
    size_t at = 1;
    for (int i = 0; i < OPT_COUNT; i++) {
        longs[i] =
            (struct option){opt_info[i].name, opt_info[i].arg ? required_argument : no_argument,
                            NULL, LONG_BASE + i};
        if (opt_info[i].letter != 0) {
            shorts[at++] = opt_info[i].letter;
            if (opt_info[i].arg != NULL)
                shorts[at++] = ':';
        }
    }
    longs[OPT_COUNT] = (struct option){"version", no_argument, NULL, LONG_VERSION};
    opterr = 0;
    optind = 1;
    for (int o; (o = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (o == '?' || o == ':') {
            buf_printf(err, o == ':' ? "option '%s' needs a value" : "unknown option '%s'",
                       argv[optind - 1]);
            return false;
        }
        if (o == LONG_VERSION) {
            c->version = true;
            continue;
        }
        int id = o >= LONG_BASE ? o - LONG_BASE : -1;
        for (int i = 0; id < 0 && i < OPT_COUNT; i++)
            if (opt_info[i].letter == o)
                id = i;
        if (id == OPT_HELP)
            c->help = true;
        else if (!add_value(c, (Option)id, optarg, err))
            return false;
    }
    c->operands = argv + optind;
    c->operand_count = argc - optind;
    return true;
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
    return true;
}

bool cli_parse(Cli *c, int argc, char **argv, Buf *err)
{
    *c = (Cli){0};
    if (argc < 2) {
        buf_add(err, "no command given; 'cnnc --help' lists them");
        return false;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0) {
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
    long long v = strtoll(s, &end, 10);
    if (end == s || *end != '\0' || v < lo || v > hi) {
        buf_printf(err, "--%s takes a whole number from %" PRId64 " to %" PRId64 ", not '%s'",
                   opt_info[o].name, lo, hi, s);
        return false;
    }
    *out = v;
    return true;
}

static void help_option(const OptInfo *o, Buf *out)
{
    size_t start = out->len;
    if (o->letter != 0)
        buf_printf(out, "  -%c, --%s", o->letter, o->name);
    else
        buf_printf(out, "      --%s", o->name);
    if (o->arg != NULL)
        buf_printf(out, "=%s", o->arg);
    int used = (int)(out->len - start);
    buf_pad(out, ' ', used < 32 ? 32 - used : 1);
    buf_printf(out, "%s\n", o->doc);
}

void cli_help(const Cli *c, Buf *out)
{
    if (c->command == CMD_NONE) {
        buf_add(out, "usage: cnnc COMMAND [OPTION...] NET\n\n"
                     "Checks, explains and compiles convolutional networks.\n"
                     "NET is FILE.cnn, FILE.cnn:NAME, or a network of the standard library.\n\n"
                     "commands:\n");
        for (int i = CMD_NONE + 1; i < CMD_COUNT; i++)
            buf_printf(out, "  %-12s %-8s  %s\n", cmd_info[i].name, cmd_info[i].args,
                       cmd_info[i].doc);
        buf_add(out,
                "\n'cnnc COMMAND --help' lists the options of a command.\n"
                "exit codes: 0 fine, 1 refused, 2 usage, 3 file or target, 4 memory or limit,\n"
                "70 internal error\n");
        return;
    }
    const CmdInfo *k = &cmd_info[c->command];
    buf_printf(out, "usage: cnnc %s [OPTION...] %s\n%s\n\noptions:\n", k->name, k->args, k->doc);
    for (int i = 0; i < OPT_COUNT; i++)
        if (belongs((Option)i, c->command))
            help_option(&opt_info[i], out);
}
