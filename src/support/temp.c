#include "support/temp.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 320, LENGTH = 512 };

/* The one process-wide state of the compiler, because signals are process-wide. A slot is written
 * before it is marked used. */
static char names[SLOTS][LENGTH];
static atomic_bool used[SLOTS];
/* Between making something and remembering it a signal must wait. */
static atomic_int making;
static atomic_int waiting;

void temp_add(const char *path)
{
    size_t n = strlen(path);
    for (int i = 0; i < SLOTS && n < LENGTH; i++)
        if (!used[i]) {
            memcpy(names[i], path, n + 1);
            used[i] = true;
            return;
        }
}

void temp_drop(const char *path)
{
    for (int i = 0; i < SLOTS; i++)
        if (used[i] && strcmp(names[i], path) == 0) {
            used[i] = false;
            return;
        }
}

static void remove_all(int sig)
{
    if (making > 0) {
        waiting = sig;
        return;
    }
    for (int i = 0; i < SLOTS; i++)
        if (used[i])
            unlink(names[i]);
    for (int i = 0; i < SLOTS; i++)
        if (used[i])
            rmdir(names[i]);
    signal(sig, SIG_DFL);
    raise(sig);
}

/* Ends what making++ began. */
static void made(const char *path)
{
    if (path != NULL)
        temp_add(path);
    if (--making == 0 && waiting != 0)
        remove_all(waiting);
}

int temp_file(char *path)
{
    making++;
    int fd = mkostemp(path, O_CLOEXEC), why = errno;
    made(fd >= 0 ? path : NULL);
    errno = why;
    return fd;
}

bool temp_folder(char *path)
{
    making++;
    bool ok = mkdtemp(path) != NULL;
    int why = errno;
    made(ok ? path : NULL);
    errno = why;
    return ok;
}

void temp_on_interrupt(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++) {
        struct sigaction now, mine = {.sa_handler = remove_all};
        sigemptyset(&mine.sa_mask);
        /* what the parent ignores (nohup) stays ignored */
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaction(signals[i], &mine, NULL);
    }
}
