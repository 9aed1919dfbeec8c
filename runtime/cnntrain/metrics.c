#include "cnntrain/metrics.h"
#include <math.h>
#include <stdlib.h>

enum { CLASSES_MAX = 1 << 20 };

int64_t cnntrain_rank(const float *logits, int64_t classes, int64_t label)
{
    if (label < 0 || label >= classes || isnan(logits[label]))
        return classes;
    float mine = logits[label];
    int64_t rank = 0;
    for (int64_t i = 0; i < classes; i++) {
        if (isnan(logits[i]))
            return classes;
        rank += logits[i] > mine || (i < label && logits[i] == mine);
    }
    return rank;
}

bool cnntrain_metrics_init(CnntrainMetrics *m, int64_t classes, bool matrix)
{
    size_t cells;
    *m = (CnntrainMetrics){.classes = classes};
    if (classes < 1 || classes > CLASSES_MAX)
        return false;
    if (!matrix)
        return true;
    if (__builtin_mul_overflow((size_t)classes, (size_t)classes, &cells))
        return false;
    m->matrix = calloc(cells, sizeof *m->matrix);
    m->no_answer = calloc((size_t)classes, sizeof *m->no_answer);
    if (m->matrix != NULL && m->no_answer != NULL)
        return true;
    cnntrain_metrics_free(m);
    return false;
}

/* The class with the largest logit, the first of several; -1 when one is NaN. */
static int64_t answer_of(const float *logits, int64_t classes)
{
    int64_t best = 0;
    for (int64_t i = 0; i < classes; i++) {
        if (isnan(logits[i]))
            return -1;
        if (logits[i] > logits[best])
            best = i;
    }
    return best;
}

void cnntrain_metrics_add(CnntrainMetrics *m, const float *logits, const int32_t *labels, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const float *row = logits + i * m->classes;
        int64_t answer = answer_of(row, m->classes), rank = 0;
        bool stranger = labels[i] < 0 || labels[i] >= m->classes;
        m->images++;
        m->unordered += answer < 0;
        m->strangers += stranger;
        if (m->matrix != NULL && !stranger) {
            if (answer < 0)
                m->no_answer[labels[i]]++;
            else
                m->matrix[labels[i] * m->classes + answer]++;
        }
        if (answer < 0 || stranger)
            continue;
        rank = cnntrain_rank(row, m->classes, labels[i]);
        m->top1 += rank < 1;
        m->top5 += rank < 5;
    }
}

void cnntrain_metrics_merge(CnntrainMetrics *m, const CnntrainMetrics *from)
{
    m->images += from->images;
    m->top1 += from->top1;
    m->top5 += from->top5;
    m->unordered += from->unordered;
    m->strangers += from->strangers;
    if (m->matrix == NULL || from->matrix == NULL)
        return;
    for (int64_t i = 0; i < m->classes * m->classes; i++)
        m->matrix[i] += from->matrix[i];
    for (int64_t i = 0; i < m->classes; i++)
        m->no_answer[i] += from->no_answer[i];
}

double cnntrain_metrics_top1(const CnntrainMetrics *m)
{
    return m->images > 0 ? (double)m->top1 / (double)m->images : (double)NAN;
}

double cnntrain_metrics_top5(const CnntrainMetrics *m)
{
    return m->images > 0 ? (double)m->top5 / (double)m->images : (double)NAN;
}

uint64_t cnntrain_confusion(const CnntrainMetrics *m, int64_t label, int64_t answer)
{
    return m->matrix[label * m->classes + answer];
}

void cnntrain_metrics_free(CnntrainMetrics *m)
{
    free(m->matrix);
    free(m->no_answer);
    m->matrix = m->no_answer = NULL;
}
