/* How good answers are: the rank of the label, counts, the confusion matrix. */
#ifndef CNNTRAIN_METRICS_H
#define CNNTRAIN_METRICS_H
#include "cnntrain/common.h"

/* Where the label stands among the classes by logit, from 0: how many are larger, or equal and of a
 * lower index. A row with a NaN has no order: `classes`, behind all. So does a label out of range.
 */
int64_t cnntrain_rank(const float *logits, int64_t classes, int64_t label);

/* Counts of a data set, added up batch by batch. The matrix is optional: it takes classes^2
 * counters. */
typedef struct CnntrainMetrics {
    int64_t classes;
    uint64_t images, top1, top5;
    uint64_t unordered;  /* images whose logits held a NaN: wrong in every sense */
    uint64_t strangers;  /* labels out of range: wrong as well, and in no row of the matrix */
    uint64_t *matrix;    /* [label][answer], or NULL */
    uint64_t *no_answer; /* [label]: those whose logits held a NaN; NULL without a matrix */
} CnntrainMetrics;

/* false when classes is not 1 to 2^20, or there is no memory. */
bool cnntrain_metrics_init(CnntrainMetrics *m, int64_t classes, bool matrix);
/* logits[n][classes], labels[n]. */
void cnntrain_metrics_add(CnntrainMetrics *m, const float *logits, const int32_t *labels,
                          int64_t n);
/* The counts of another, of the same classes and kind (another thread's, another device's). */
void cnntrain_metrics_merge(CnntrainMetrics *m, const CnntrainMetrics *from);
/* Parts of the images, 0 to 1; NaN when there are none. */
double cnntrain_metrics_top1(const CnntrainMetrics *m);
double cnntrain_metrics_top5(const CnntrainMetrics *m);
/* [label][answer] of the matrix. */
uint64_t cnntrain_confusion(const CnntrainMetrics *m, int64_t label, int64_t answer);
void cnntrain_metrics_free(CnntrainMetrics *m);
#endif
