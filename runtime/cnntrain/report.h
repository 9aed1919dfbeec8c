/* A run as a page: curves over epochs, settings, the best epoch. One file of HTML without scripts
 * that fetches nothing, for light and dark screens. */
#ifndef CNNTRAIN_REPORT_H
#define CNNTRAIN_REPORT_H
#include "cnntrain/log.h"

typedef struct CnntrainReport {
    const char *title;            /* the network's name */
    const char *facts;            /* a line below it; may be NULL */
    const CnntrainPair *settings; /* in the order of the table */
    size_t setting_count;
    const CnntrainRecord *records; /* in the order of the log */
    size_t count;
    double epochs; /* that the run is to have; 0: those it has had */
} CnntrainReport;

/* The index of the best record: the largest val_top1, where that is logged, else the least
 * val_loss, the first of equals; -1 when nothing was validated. */
int64_t cnntrain_report_best(const CnntrainRecord *records, size_t count);
/* The page, to be freed; NULL when out of memory. The same records give the same bytes. */
char *cnntrain_report_html(const CnntrainReport *r);
/* Writes it: whole or not at all. false with a message. */
bool cnntrain_report_write(const char *path, const CnntrainReport *r,
                           char message[CNNTRAIN_MESSAGE]);
#endif
