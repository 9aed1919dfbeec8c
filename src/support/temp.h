/* Temporary files and folders that are removed when the process is interrupted. Names are kept in a
 * fixed table that a signal handler may read. */
#ifndef CNNC_TEMP_H
#define CNNC_TEMP_H
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Remembers a file or folder; does nothing when the table is full or the name too long. */
void temp_add(const char *path);
void temp_drop(const char *path);
/* mkstemp and mkdtemp of a name that ends in XXXXXX, remembered at once: an interrupt that comes in
 * between waits. -1 and false with errno on failure. */
int temp_file(char *path);
bool temp_folder(char *path);
/* Removes a folder that temp_folder made, with the files in it, whoever made them; then forgets it.
 * Safe in a signal handler, where interrupts do the same. */
void temp_remove_folder(const char *path);
/* Runs argv[0] (found on PATH) with the environment `env` as the leader of a process group, which
 * is ended on an interrupt before files are removed: a linker that lives on would write them again.
 * One at a time, from temp_spawn to temp_reap. 0 or an errno; temp_reap gives what waitpid does. */
int temp_spawn(const char *const *argv, char *const *env);
int temp_reap(int *status);
/* A file mapped at [data, data + len): when it is cut meanwhile, reading raises SIGBUS, and the
 * process ends with a message that names the file, as after a failed read. */
void temp_map_add(const void *data, size_t len, const char *path);
void temp_map_drop(const void *data);
/* Ends the process from wherever it is, a signal handler too: removes what is remembered, writes
 * the texts to stderr. */
_Noreturn void temp_give_up(int code, const char *text, const char *more, const char *last);
/* Installs handlers of SIGINT, SIGTERM and SIGHUP: what is remembered is removed, files before the
 * folders they are in, and the signal then takes its usual effect; and one of SIGBUS, which ends
 * the process with the exit code `cut` when a mapped file has been cut. */
void temp_on_interrupt(int cut);
#endif
