/* Learning rates as a pure function of time, and the corrections that Adam and averages of weights
 * make in a run's beginning. Double precision; nothing is kept between calls, so that a resumed run
 * has the rates of an uninterrupted one. */
#ifndef CNNTRAIN_SCHEDULE_H
#define CNNTRAIN_SCHEDULE_H
#include "cnntrain/common.h"

typedef enum CnntrainScheduleKind {
#define SCHEDULE(ID, NAME, FORMULA) CNNTRAIN_LR_##ID,
#include "cnntrain/schedule.def"
    CNNTRAIN_SCHEDULES
} CnntrainScheduleKind;

/* The rate a warm-up begins with, as in timm. */
#define CNNTRAIN_WARMUP_LR 1e-6

/* Times are in epochs, or all in steps. Unused fields are 0. */
typedef struct CnntrainSchedule {
    CnntrainScheduleKind kind;
    double lr;     /* b, the base rate */
    double epochs; /* T: COSINE, LINEAR */
    double gamma;  /* STEP, EXPONENTIAL */
    double every;  /* STEP, EXPONENTIAL: how long it takes for one gamma; 0 is taken for 1 */
    double end;    /* COSINE, LINEAR: the rate at T and after */
    double warmup; /* for t < warmup: from warmup_lr to b in a straight line */
    double warmup_lr;
    /* timm's warmup_prefix: the schedule begins, with t = 0, when the warm-up ends. Otherwise it
     * has gone on beneath it, and the rate steps from b to its value at t = warmup. */
    bool warmup_prefix;
} CnntrainSchedule;

/* NULL, or what is wrong with the fields: a constant text. */
const char *cnntrain_schedule_check(const CnntrainSchedule *s);
/* The rate at time t >= 0, fractions included; s was checked. */
double cnntrain_schedule_lr(const CnntrainSchedule *s, double t);
/* By name; CNNTRAIN_SCHEDULES when there is none. Names and formulas are constant texts. */
CnntrainScheduleKind cnntrain_schedule_find(const char *name);
const char *cnntrain_schedule_name(CnntrainScheduleKind kind);
const char *cnntrain_schedule_formula(CnntrainScheduleKind kind);

/* 1 / (1 - beta^step), what Adam's moments are multiplied by (Kingma & Ba 2015, algorithm 1); step
 * counts from 1. */
double cnntrain_adam_correction(double beta, int64_t step);
#endif
