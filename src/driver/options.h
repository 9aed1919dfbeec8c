/* The command line, parsed against options.def. */
#ifndef CNNC_OPTIONS_H
#define CNNC_OPTIONS_H
#include "support/buf.h"
#include <stdbool.h>
#include <stdint.h>

typedef enum Command {
    CMD_NONE,
#define CMD(ID, NAME, LETTER, FN, LEAST, MOST, ARGS, DOC) CMD_##ID,
#include "driver/options.def"
    CMD_COUNT
} Command;

typedef enum Option {
#define OPT(ID, LONG, SHORT, ARG, CMDS, DOC) OPT_##ID,
#include "driver/options.def"
    OPT_COUNT
} Option;

enum { CLI_MAX_VALUES = 64 };

typedef struct CliValue {
    Option option;
    const char *text; /* NULL for flags */
} CliValue;

typedef struct Cli {
    Command command;
    CliValue values[CLI_MAX_VALUES]; /* in order of the command line */
    int value_count;
    char **operands;
    int operand_count;
    bool version;
    bool help; /* of the command, or of cnnc when command is CMD_NONE */
} Cli;

/* Exit codes of cnnc (docs/exit-codes.md). */
enum {
    EXIT_FINE = 0,
    EXIT_REFUSED = 1,
    EXIT_USAGE = 2,
    EXIT_FILE = 3,
    EXIT_LIMIT = 4,
    EXIT_INTERNAL = 70
};

/* False with a message in err when the line is not understood. argv is permuted. */
bool cli_parse(Cli *c, int argc, char **argv, Buf *err);
/* The last value of an option, NULL when absent. For flags: "" when present. */
const char *cli_get(const Cli *c, Option o);
bool cli_has(const Cli *c, Option o);
/* A whole number in [lo, hi]; the default when absent; false with a message when malformed. */
bool cli_int(const Cli *c, Option o, int64_t lo, int64_t hi, int64_t def, int64_t *out, Buf *err);
void cli_help(const Cli *c, Buf *out);
const char *cli_command_name(Command c);
#endif
