/* The commands; each is its whole pipeline in one function and returns an exit code. */
#ifndef CNNC_COMMANDS_H
#define CNNC_COMMANDS_H
#include "driver/front.h"
#include "report/summary.h"

#define CMD(ID, NAME, LETTER, FN, LEAST, MOST, ARGS, DOC) int command_##FN(Run *r);
#include "driver/options.def"
/* Starts the session, runs the command, catches exhausted memory, prints diagnostics. `misuse`:
 * what is wrong with the command line, to be said in place of running it. */
int command_execute(const Cli *cli, const char *misuse);
/* check without --fix, and check with it. */
int check_all(Run *r);
int fix_check(Run *r);
/* What --format asks for. */
SummaryFormat command_format(const Run *r);
#endif
