/* cnnc: the one place that exits. */
#include "driver/commands.h"
#include "support/temp.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define CNNC_VERSION "0.1.0"

int main(int argc, char **argv)
{
    static Cli cli;
    Buf text = {0};
    int code = EXIT_FINE;
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error, reported as one */
    temp_on_interrupt();
    if (!cli_parse(&cli, argc, argv, &text)) {
        fprintf(stderr, "cnnc: error: %s\n", text.at != NULL ? text.at : "out of memory");
        code = EXIT_USAGE;
    } else if (cli.version) {
        printf("cnnc %s (LLVM 19)\n", CNNC_VERSION);
    } else if (cli.help) {
        cli_help(&cli, &text);
        fputs(text.at != NULL ? text.at : "", stdout);
    } else {
        code = command_execute(&cli);
    }
    buf_free(&text);
    if (fflush(stdout) != 0 && code == EXIT_FINE) {
        fprintf(stderr, "cnnc: error: stdout: %s\n", strerror(errno));
        code = EXIT_FILE;
    }
    return code;
}
