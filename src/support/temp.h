/* Temporary files and folders that are removed when the process is interrupted. Names are kept in a
 * fixed table that a signal handler may read. */
#ifndef CNNC_TEMP_H
#define CNNC_TEMP_H
#include <stdbool.h>

/* Remembers a file or folder; does nothing when the table is full or the name too long. */
void temp_add(const char *path);
void temp_drop(const char *path);
/* mkstemp and mkdtemp of a name that ends in XXXXXX, remembered at once: an interrupt that comes in
 * between waits. -1 and false with errno on failure. */
int temp_file(char *path);
bool temp_folder(char *path);
/* Installs handlers of SIGINT, SIGTERM and SIGHUP: what is remembered is removed, files before the
 * folders they are in, and the signal then takes its usual effect. */
void temp_on_interrupt(void);
#endif
