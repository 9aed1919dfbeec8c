/* cnnc: the one place that exits. */
#include "driver/commands.h"
#include "support/temp.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A standard stream that is closed must not become the first file that is opened: it is replaced by
 * one on which every use fails. */
static void guard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1 && errno == EBADF)
            (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
    static Cli cli;
    Buf text = {0};
    int code = EXIT_FINE;
    guard_streams();
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error, reported as one */
    signal(SIGXFSZ, SIG_IGN); /* and so is a file that may not grow */
    temp_on_interrupt(EXIT_FILE);
    if (!cli_parse(&cli, argc, argv, &text)) {
        const char *why = buf_ok(&text) ? text.at : "out of memory";
        code = EXIT_USAGE;
        if (cli.command != CMD_NONE)
            command_execute(&cli, why);
        else
            front_say(why);
    } else if (cli.version) {
        printf("cnnc %s (LLVM %s)\n", CNNC_VERSION, CNNC_LLVM);
    } else if (cli.help) {
        cli_help(&cli, &text);
        fputs(text.at != NULL ? text.at : "", stdout);
    } else {
        code = command_execute(&cli, NULL);
    }
    buf_free(&text);
    if (fflush(stdout) != 0 && code == EXIT_FINE) {
        fprintf(stderr, "cnnc: error: stdout: %s\n", strerror(errno));
        code = EXIT_FILE;
    }
    return code;
}
