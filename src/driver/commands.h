/* The commands; each is its whole pipeline in one function and returns an exit code. */
#ifndef CNNC_COMMANDS_H
#define CNNC_COMMANDS_H
#include "driver/front.h"

#define CMD(ID, NAME, LETTER, FN, LEAST, MOST, ARGS, DOC) int command_##FN(Run *r);
#include "driver/options.def"
/* Starts the session, runs the command, catches exhausted memory, prints diagnostics. */
int command_execute(const Cli *cli);
#endif
