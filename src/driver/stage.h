/* The developer's view: what each stage of a compilation made, and how long it took. */
#ifndef CNNC_STAGE_H
#define CNNC_STAGE_H
#include "driver/options.h"

typedef enum Stage {
#define STAGE(ID, LETTER, NAME, SUFFIX, DOC) STAGE_##ID,
#include "driver/stage.def"
    STAGE_COUNT
} Stage;

/* The pipeline ended where --stop-after asked; a command returns it like a failure, and the frame
 * around all commands makes it EXIT_FINE. Below EXIT_FINE, so that real failures outrank it. */
enum { EXIT_STOPPED = -1 };

enum { STAGE_TIMES = 24 };
typedef struct StageTime {
    const char *pass;
    double seconds;
    int runs;
} StageTime;

/* What --time-passes has measured. */
typedef struct StageClock {
    StageTime row[STAGE_TIMES];
    int count;
} StageClock;

struct Run;
/* Whether the options name known stages; an exit code. */
int stage_check_options(struct Run *r);
/* Whether the text of a stage is asked for: printing some costs more than making them. */
bool stage_wanted(const struct Run *r, Stage s);
/* Takes the text of a stage of `name` (a net or a file), frees it, and shows or writes it as asked.
 * EXIT_FINE; EXIT_STOPPED when the pipeline is to end here; EXIT_FILE when it cannot be written. */
int stage_show(struct Run *r, Stage s, const char *name, Buf *text);
/* With --time-passes: adds the time since `since` to a pass. */
void stage_time(struct Run *r, const char *pass, double since);
/* With --time-passes: the table, on stderr. */
void stage_report(struct Run *r);
#endif
