/* The front half of every command: a session with the command line's settings, and a net taken from
 * its source to an analysed graph with all lints reported. */
#ifndef CNNC_FRONT_H
#define CNNC_FRONT_H
#include "analysis/analysis.h"
#include "driver/stage.h"
#include "elab/elab.h"

typedef struct Run {
    const Cli *cli;
    Session session;
    Arena net_arena;
    bool colour_out, colour_err, quiet;
    DiagFormat message_format;
    bool machine;         /* messages are one JSON or SARIF document */
    const char *messages; /* file they go to; NULL = stderr */
    StageClock clock;
} Run;

typedef struct Net {
    NetRef ref;
    ElabOptions opt;
    Elab *elab;
    Analysis an;
} Net;

/* Whether an --input means dimensions, not a file. */
bool front_is_dims(const char *text);
/* Reads the settings that all commands share. Returns an exit code. */
int front_start(Run *r, const Cli *cli);
/* How much a command says about receptive fields. */
typedef enum Verdicts { VERDICTS_SILENT, VERDICTS_REPORT, VERDICTS_REPAIR } Verdicts;
/* Finds, elaborates and analyses what spec names, and reports its lints; with VERDICTS_REPAIR,
 * refusals name the cheapest repairs. EXIT_FINE, or EXIT_REFUSED when an error was reported; n is
 * usable in that case too when n->elab is not NULL. */
int front_open(Run *r, const char *spec, Verdicts verdicts, Net *n);
int front_analyse(Run *r, NetRef ref, Verdicts verdicts, Net *n);
/* Frees the session and starts anew with the same settings. */
int front_restart(Run *r);
/* Prints what was reported, as the command line asks; `code` is the exit code so far. Returns it,
 * or EXIT_FILE when it was EXIT_FINE and the messages cannot be written. */
int front_report(Run *r, int code);
/* "file:line:col" of a node's step, in the session arena; NULL when it has none. */
const char *front_place(Run *r, const Net *n, NodeId node);
/* An error for people that belongs to no run. */
void front_say(const char *text);
/* What the reader of messages gets when memory ends while they are written. */
const char *front_last_words(DiagFormat f);
/* Says something about the run: a usage or file error, in the form of all messages. Returns code.
 */
int front_fail(Run *r, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The code of a failure whose reason is given as a text: EXIT_LIMIT when memory ran out, whatever
 * was being done. */
int front_blame(int code, const char *why);
/* The same without an error: a note. */
void front_note(Run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Writes a report to --output or stdout, whole or not at all. */
int front_write(Run *r, const char *path, Buf *text);
/* Seconds of a monotonic clock. */
double front_seconds(void);

/* The receptive-field lints of an analysed net (how to read them: docs/refusals.md). */
void verdict_report(Run *r, Net *n, bool repairs);
/* Whether that would report an error. */
bool verdict_refuses(Run *r, const Net *n);
/* Reports every @allow of a source that silenced nothing. All nets of the source that can be built
 * have been, without errors: an @allow counts as used when it serves one of their instances. */
void verdict_useless_allows(Run *r, uint32_t src);
#endif
