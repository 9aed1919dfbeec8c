/* The command line, parsed against options.def; what cnnc says about itself. */
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

#define CNNC_VERSION "0.1.0"
#define CNNC_LLVM "19" /* the major version it is made for */

/* Exit codes of cnnc (docs/exit-codes.md). */
enum {
#define EXIT(ID, CODE, DOC) EXIT_##ID = (CODE),
#include "driver/exit.def"
};
/* What an exit code means. */
const char *cli_exit_text(int code);

/* The rows of options.def. */
typedef struct CmdInfo {
    const char *name;
    char letter;
    int least, most; /* operands; most < 0: any number */
    const char *args, *doc;
} CmdInfo;
extern const CmdInfo cmd_info[CMD_COUNT]; /* [CMD_NONE] is empty */

typedef struct OptInfo {
    const char *name;
    char letter;     /* 0: it has no short form */
    const char *arg; /* NULL: a flag; "[...]": may be left out */
    const char *cmds, *doc;
} OptInfo;
extern const OptInfo opt_info[OPT_COUNT];
/* Whether the option takes one of a list of words, "a|b|c". */
bool cli_has_choices(Option o);
bool cli_belongs(Option o, Command c);

/* False with a message in err when the line is not understood; what was understood is in c all the
 * same. argv is permuted. Long options are to be written in full: an abbreviation that is unique
 * today may not be tomorrow. */
bool cli_parse(Cli *c, int argc, char **argv, Buf *err);
/* The last value of an option, NULL when absent. For flags: "" when present. */
const char *cli_get(const Cli *c, Option o);
bool cli_has(const Cli *c, Option o);
/* A whole number in [lo, hi]; the default when absent; false with a message when malformed. */
bool cli_int(const Cli *c, Option o, int64_t lo, int64_t hi, int64_t def, int64_t *out, Buf *err);
void cli_help(const Cli *c, Buf *out);
/* The manual page, for man(1). */
void cli_man(Buf *out);
/* A script for a shell ("bash", "zsh", "fish"); false when there is none for it. */
bool cli_completions(const char *shell, Buf *out);
const char *cli_command_name(Command c);
#endif
