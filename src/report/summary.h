/* The layer table of a network: as text, JSON (schema version 1, docs/summary.md) and CSV. Knows no
 * source: the caller tells where a node was written. */
#ifndef CNNC_SUMMARY_H
#define CNNC_SUMMARY_H
#include "analysis/analysis.h"
#include "support/buf.h"

typedef enum SummaryFormat { SUMMARY_TABLE, SUMMARY_JSON, SUMMARY_CSV } SummaryFormat;

typedef struct SummaryOptions {
    bool all; /* every operator, not only convolutions, poolings and dense layers */
    bool colour;
    int64_t runnable[2]; /* smallest input for which the shapes work */
    /* "file:line:col" of a node, or NULL; the text lives until the next call. */
    const char *(*place)(void *ctx, NodeId n);
    void *place_ctx;
} SummaryOptions;

void report_summary(const Analysis *a, const SummaryOptions *o, SummaryFormat f, Buf *out);

/* How many layers the summary lists when not asked for all operators. */
uint32_t report_layers(const Analysis *a);

/* One line of a sweep over resolutions. */
typedef struct SweepRow {
    int64_t res;
    bool ok; /* false: the shapes do not work at this size */
    int64_t macs, act_peak;
    uint32_t count[6];
    int64_t n[2];
} SweepRow;
void report_sweep(const char *net, const SweepRow *rows, uint32_t n, SummaryFormat f, Buf *out);

/* 1234567 as "1.23 M"; bytes as "1.2 MiB". */
void report_count(Buf *out, int64_t v);
void report_bytes(Buf *out, int64_t v);
#endif
