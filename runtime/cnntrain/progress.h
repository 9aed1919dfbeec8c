/* Progress of a run on a stream: one line that is drawn again and again on a terminal, a plain line
 * now and then elsewhere. */
#ifndef CNNTRAIN_PROGRESS_H
#define CNNTRAIN_PROGRESS_H
#include "cnntrain/common.h"

/* What is shown. NaN, or a total of 0, stands for what is not known: it is left out. */
typedef struct CnntrainProgress {
    const char *what;      /* "epoch", "validation" */
    int64_t number, of;    /* of epochs, from 1; 0: not shown */
    int64_t done, total;   /* of batches in this epoch */
    double loss, accuracy; /* accuracy from 0 to 1 */
    double images_per_second;
    double seconds_left; /* of the whole run */
} CnntrainProgress;

/* "epoch  3/90  [=====>    ]  45 %  loss 1.2346  top-1 45.2 %  1234 img/s  12 s left": at most
 * `width` characters of ASCII, without a newline. Where it is too long the bar shrinks, then parts
 * are left out, the least important first. colour: the bar is coloured, and the text therefore
 * longer. Returns the number of characters that are seen; cap of width + 32 is always enough. */
size_t cnntrain_progress_format(char *out, size_t cap, const CnntrainProgress *p, int width,
                                bool colour);
/* "42 s", "12 min 04 s", "3 h 05 min", "2 d 04 h": at most 16 characters. Returns out. */
char *cnntrain_seconds_text(char out[24], double seconds);

typedef enum CnntrainVoice {
    CNNTRAIN_QUIET,
    CNNTRAIN_PLAIN, /* a line every few seconds */
    CNNTRAIN_DRAWN, /* redrawn in place */
    CNNTRAIN_COLOURED
} CnntrainVoice;

/* What suits a descriptor: DRAWN for a terminal, unless TERM is unset or "dumb"; COLOURED too
 * unless NO_COLOR is set to something. */
CnntrainVoice cnntrain_progress_voice(int fd, bool quiet);

typedef struct CnntrainMeter {
    int fd;
    CnntrainVoice voice;
    double every; /* seconds between plain lines */
    double last;  /* when something was shown; negative: never */
    size_t drawn; /* characters of the line that stands there */
} CnntrainMeter;

CnntrainMeter cnntrain_meter(int fd, CnntrainVoice voice, double every);
/* Shows *p if it is time (ten times a second on a terminal), or if `always`. now: seconds of a
 * clock that does not go back. */
void cnntrain_meter_show(CnntrainMeter *m, const CnntrainProgress *p, double now, bool always);
/* Takes the line away, before something else is written to the terminal. */
void cnntrain_meter_clear(CnntrainMeter *m);
#endif
