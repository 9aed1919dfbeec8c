#include "support/temp.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SLOTS = 448, LENGTH = PATH_MAX, MAPS = 8 };

/* The one process-wide state of the compiler, because signals are process-wide. A slot is written
 * before it is marked used. */
static char names[SLOTS][LENGTH];
static atomic_bool used[SLOTS];
static atomic_bool folder[SLOTS]; /* made by temp_folder: all that is in it is ours */
/* Between making something and remembering it a signal must wait. */
static atomic_int making;
static atomic_int waiting;
static atomic_int child; /* a process group, 0 when none runs */

typedef struct Map {
    atomic_uintptr_t lo, hi; /* lo 0: free */
    char name[LENGTH];
} Map;
static Map maps[MAPS];
static int cut_code;

/* struct linux_dirent64, which no header declares. */
struct Entry {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    unsigned char type;
    char name[];
};

static void add(const char *path, bool is_folder)
{
    size_t n = strlen(path);
    for (int i = 0; i < SLOTS && n < LENGTH; i++)
        if (!used[i]) {
            memcpy(names[i], path, n + 1);
            folder[i] = is_folder;
            used[i] = true;
            return;
        }
}

void temp_add(const char *path)
{
    add(path, false);
}

void temp_drop(const char *path)
{
    for (int i = 0; i < SLOTS; i++)
        if (used[i] && strcmp(names[i], path) == 0) {
            used[i] = false;
            return;
        }
}

/* They get a moment to remove their own temporary files, then no choice. The leader may end before
 * those it has started. */
static void end_child(pid_t group)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    kill(-group, SIGTERM);
    for (int i = 0; i < 200 && (waitpid(group, NULL, WNOHANG) == 0 || kill(-group, 0) == 0); i++)
        nanosleep(&moment, NULL);
    kill(-group, SIGKILL);
}

/* The kernel's own call: opendir allocates, which a signal handler must not. One pass may miss what
 * moves while entries go. */
static void empty_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), removed = 1;
    while (fd >= 0 && removed > 0) {
        _Alignas(struct Entry) char block[4096];
        long got;
        removed = 0;
        lseek(fd, 0, SEEK_SET);
        while ((got = syscall(SYS_getdents64, fd, block, sizeof block)) > 0)
            for (long at = 0; at < got; at += ((const struct Entry *)(block + at))->length)
                removed += unlinkat(fd, ((const struct Entry *)(block + at))->name, 0) == 0;
    }
    if (fd >= 0)
        close(fd);
}

static void remove_all(void)
{
    if (child != 0)
        end_child(child);
    for (int i = 0; i < SLOTS; i++)
        if (used[i])
            unlink(names[i]);
    for (int i = 0; i < SLOTS; i++)
        if (used[i] && rmdir(names[i]) != 0 && folder[i]) {
            empty_folder(names[i]);
            rmdir(names[i]);
        }
}

static void interrupted(int sig)
{
    if (making > 0) {
        waiting = sig;
        return;
    }
    remove_all();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void put(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

void temp_give_up(int code, const char *text, const char *more, const char *last)
{
    remove_all();
    put(text);
    put(more);
    put(last);
    _exit(code);
}

static void fault(int sig, siginfo_t *info, void *context)
{
    (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    for (int i = 0; i < MAPS; i++)
        if (maps[i].lo != 0 && maps[i].lo <= at && at < maps[i].hi)
            temp_give_up(cut_code, "cnnc: error: ", maps[i].name, ": was cut while it was read\n");
    /* returning repeats the fault, with its usual effect */
    signal(sig, SIG_DFL);
}

/* Ends what making++ began. */
static void made(const char *path, bool is_folder)
{
    if (path != NULL)
        add(path, is_folder);
    if (--making == 0 && waiting != 0)
        interrupted(waiting);
}

int temp_file(char *path)
{
    making++;
    int fd = mkostemp(path, O_CLOEXEC), why = errno;
    made(fd >= 0 ? path : NULL, false);
    errno = why;
    return fd;
}

bool temp_folder(char *path)
{
    making++;
    bool ok = mkdtemp(path) != NULL;
    int why = errno;
    made(ok ? path : NULL, true);
    errno = why;
    return ok;
}

void temp_remove_folder(const char *path)
{
    if (rmdir(path) != 0) {
        empty_folder(path);
        rmdir(path);
    }
    temp_drop(path);
}

int temp_spawn(const char *const *argv, char *const *env)
{
    posix_spawnattr_t attr;
    sigset_t usual;
    pid_t pid = 0;
    int why = posix_spawnattr_init(&attr);
    if (why != 0)
        return why;
    /* what cnnc ignores for itself is no business of others */
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGXFSZ);
    posix_spawnattr_setsigdefault(&attr, &usual);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    making++;
    why = posix_spawnp(&pid, argv[0], NULL, &attr, (char *const *)(uintptr_t)argv, env);
    if (why == 0)
        child = pid;
    made(NULL, false);
    posix_spawnattr_destroy(&attr);
    return why;
}

int temp_reap(int *status)
{
    pid_t pid = child;
    int got;
    while ((got = waitpid(pid, status, 0)) < 0 && errno == EINTR)
        ;
    child = 0;
    return got;
}

void temp_map_add(const void *data, size_t len, const char *path)
{
    size_t n = strlen(path);
    int i = 0;
    while (i < MAPS && maps[i].lo != 0)
        i++;
    if (i == MAPS)
        return;
    for (size_t k = 0; k <= n && k < LENGTH; k++)
        maps[i].name[k] =
            path[k] != '\0' && ((unsigned char)path[k] < 32 || path[k] >= 127) ? '?' : path[k];
    maps[i].name[LENGTH - 1] = '\0';
    maps[i].hi = (uintptr_t)data + len;
    maps[i].lo = (uintptr_t)data;
}

void temp_map_drop(const void *data)
{
    for (int i = 0; i < MAPS; i++)
        if (maps[i].lo == (uintptr_t)data)
            maps[i].lo = 0;
}

void temp_on_interrupt(int cut)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (int i = 0; i < 3; i++) {
        struct sigaction now, mine = {.sa_handler = interrupted};
        sigemptyset(&mine.sa_mask);
        /* what the parent ignores (nohup) stays ignored */
        if (sigaction(signals[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
            sigaction(signals[i], &mine, NULL);
    }
    struct sigaction bus = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
    cut_code = cut;
    sigemptyset(&bus.sa_mask);
    sigaction(SIGBUS, &bus, NULL);
}
