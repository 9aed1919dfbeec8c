/* The list of networks: as a table, JSON (schema version 1, docs/nets.md) and CSV. */
#ifndef CNNC_NETS_H
#define CNNC_NETS_H
#include "report/summary.h"

/* One network at its declared input. The texts are those of comments, without line breaks. */
typedef struct NetRow {
    const char *name;
    const char *file, *about; /* as messages show it; the comment at its head, or NULL */
    uint32_t line;
    const char *doc; /* the comment above the net, or NULL */
    int64_t input[3], n[2];
    int64_t params, macs;
    uint32_t layers;   /* those `summary` lists */
    uint32_t count[6]; /* layers per Verdict */
    bool refused;      /* by `check` */
} NetRow;

/* Rows of one file stand together. */
void report_nets(const NetRow *rows, uint32_t n, SummaryFormat f, bool colour, Buf *out);
#endif
