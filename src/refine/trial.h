/* One text, taken through the front end in a session of its own. */
#ifndef CNNC_TRIAL_H
#define CNNC_TRIAL_H
#include "refine/refine.h"

typedef struct Trial {
    Session session;
    Overlay overlay;
    NetRef ref;
    const Module *module;
    Elab *elab; /* NULL: it did not elaborate; the session has the reasons */
    Analysis an;
    RefineScore score;
    bool starved; /* memory ran out: nothing is known */
} Trial;

/* Opens a text in place of the base's. The trial must be closed whatever the result; `t` must not
 * move, and the text must live as long. */
void trial_open(Trial *t, const RefineBase *base, const char *std_path, const char *text,
                size_t len);
void trial_close(Trial *t);
#endif
