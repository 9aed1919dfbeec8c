/* The commands; each is its whole pipeline in one function and returns an exit code. */
#ifndef CNNC_COMMANDS_H
#define CNNC_COMMANDS_H
#include "driver/front.h"

int command_check(Run *r);
int command_summary(Run *r);
int command_nets(Run *r);
int command_print_graph(Run *r);
int command_build(Run *r);
int command_run(Run *r);
int command_verify(Run *r);
int command_bench(Run *r);
/* Starts the session, runs the command, catches exhausted memory, prints diagnostics. */
int command_execute(const Cli *cli);
#endif
