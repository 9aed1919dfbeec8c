#include "refine/trial.h"
#include "sema/sema.h"
#include <string.h>

static void score(Trial *t)
{
    const Analysis *a = &t->an;
    RefineScore *s = &t->score;
    s->valid = true;
    for (int axis = 0; axis < 2; axis++) {
        s->n[axis] = a->n[axis];
        s->n_max[axis] = a->n_max[axis];
        s->input[axis] = a->input[axis];
    }
    s->feasible = a->n[0] < a->input[0] && a->n[1] < a->input[1];
    s->params = a->params;
    s->macs = a->macs;
    s->memory = a->act_peak;
    s->bad = a->count[VERDICT_UNDERUTILIZED] + a->count[VERDICT_UNPRODUCTIVE];
}

static void elaborate(Trial *t, const RefineBase *base)
{
    static const ElabOptions as_written;
    Session *s = &t->session;
    NodeId at;
    ShapeError err;
    const char *spec = arena_printf(&s->arena, "%s:%s", base->path, base->net);
    if (!elab_find(s, spec, &t->ref))
        return;
    t->module = s->modules.at[t->ref.module];
    t->elab = elab_net(s, &s->arena, t->ref, &as_written);
    if (t->elab == NULL)
        return;
    if (analysis_run(&s->arena, &t->elab->graph, &t->an, &at, &err))
        score(t);
    else
        t->elab = NULL;
}

void trial_open(Trial *t, const RefineBase *base, const char *std_path, const char *text,
                size_t len)
{
    memset(t, 0, sizeof *t);
    t->overlay = (Overlay){base->path, text, len};
    if (setjmp(t->session.oom.env) != 0) {
        t->starved = true;
        t->elab = NULL;
        t->score = (RefineScore){0};
        return;
    }
    session_init(&t->session, std_path);
    t->session.overlays = &t->overlay;
    t->session.overlay_count = 1;
    elaborate(t, base);
}

void trial_close(Trial *t)
{
    session_free(&t->session);
}
