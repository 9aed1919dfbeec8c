#include "cnntrain/schedule.h"
#include <math.h>
#include <string.h>

static const struct {
    const char *name, *formula;
} rows[] = {
#define SCHEDULE(ID, NAME, FORMULA) {NAME, FORMULA},
#include "cnntrain/schedule.def"
};

CnntrainScheduleKind cnntrain_schedule_find(const char *name)
{
    int kind = 0;
    while (kind < CNNTRAIN_SCHEDULES && strcmp(rows[kind].name, name) != 0)
        kind++;
    return (CnntrainScheduleKind)kind;
}

const char *cnntrain_schedule_name(CnntrainScheduleKind kind)
{
    return rows[kind].name;
}

const char *cnntrain_schedule_formula(CnntrainScheduleKind kind)
{
    return rows[kind].formula;
}

/* NaN fails every one of these comparisons. */
const char *cnntrain_schedule_check(const CnntrainSchedule *s)
{
    bool decays = s->kind == CNNTRAIN_LR_STEP || s->kind == CNNTRAIN_LR_EXPONENTIAL;
    bool ends = s->kind == CNNTRAIN_LR_COSINE || s->kind == CNNTRAIN_LR_LINEAR;
    if ((int)s->kind < 0 || s->kind >= CNNTRAIN_SCHEDULES)
        return "there is no such schedule";
    if (!(s->lr >= 0) || isinf(s->lr))
        return "the learning rate is no number of at least 0";
    if (!(s->warmup >= 0) || isinf(s->warmup) || !(s->warmup_lr >= 0) || isinf(s->warmup_lr))
        return "the warm-up, or its rate, is no number of at least 0";
    if (decays && (!(s->gamma > 0) || isinf(s->gamma)))
        return "gamma is no number above 0";
    if (decays && (!(s->every >= 0) || isinf(s->every)))
        return "the time for one gamma is no number above 0";
    if (ends && (!(s->epochs > 0) || isinf(s->epochs)))
        return "the number of epochs is not above 0";
    if (ends && (!(s->end >= 0) || isinf(s->end)))
        return "the last rate is no number of at least 0";
    return NULL;
}

double cnntrain_schedule_lr(const CnntrainSchedule *s, double t)
{
    static const double pi = 3.14159265358979323846;
    double every = s->every > 0 ? s->every : 1, total = s->epochs;
    if (t < s->warmup)
        return s->warmup_lr + t * (s->lr - s->warmup_lr) / s->warmup;
    if (s->warmup_prefix) {
        t -= s->warmup;
        total -= s->warmup;
    }
    switch (s->kind) {
    case CNNTRAIN_LR_STEP: return s->lr * pow(s->gamma, floor(t / every));
    case CNNTRAIN_LR_EXPONENTIAL: return s->lr * pow(s->gamma, t / every);
    case CNNTRAIN_LR_COSINE:
        return t < total ? s->end + 0.5 * (s->lr - s->end) * (1 + cos(pi * t / total)) : s->end;
    case CNNTRAIN_LR_LINEAR: return t < total ? s->lr + (s->end - s->lr) * t / total : s->end;
    case CNNTRAIN_LR_CONSTANT:
    case CNNTRAIN_SCHEDULES: break;
    }
    return s->lr;
}

double cnntrain_adam_correction(double beta, int64_t step)
{
    /* 1 - beta^step without the cancellation that beta near 1 would bring */
    return beta > 0 ? -1 / expm1((double)step * log(beta)) : 1;
}
