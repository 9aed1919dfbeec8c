/* The log of a run: one record per line, as JSON (NAME.jsonl) and as CSV (NAME.csv). Lines are
 * appended by one write each. docs/checkpoints.md says what the fields mean. */
#ifndef CNNTRAIN_LOG_H
#define CNNTRAIN_LOG_H
#include "cnntrain/common.h"

typedef enum CnntrainField {
#define FIELD(ID, NAME, KIND) CNNTRAIN_LOG_##ID,
#include "cnntrain/log.def"
    CNNTRAIN_FIELDS
} CnntrainField;

/* Begins as {0}. A field that is not set is left out of the JSON, and empty in the CSV; one that is
 * NaN or infinite is null, or nan and inf. */
typedef struct CnntrainRecord {
    uint32_t set; /* bit per field */
    double value[CNNTRAIN_FIELDS];
} CnntrainRecord;

void cnntrain_record_set(CnntrainRecord *r, CnntrainField field, double value);
/* Whether it is set to a finite number, which is then *value (may be NULL). */
bool cnntrain_record_get(const CnntrainRecord *r, CnntrainField field, double *value);
const char *cnntrain_field_name(CnntrainField field);

typedef struct CnntrainLog CnntrainLog;

/* Opens NAME.jsonl and NAME.csv, or makes them. What they hold from the first record on whose step
 * is at least first_step is cut off, so that a resumed run writes no record twice; first_step 0
 * begins anew. So is what a crash has left of a line. NULL with a message, for example when the CSV
 * has other columns. */
CnntrainLog *cnntrain_log_open(const char *name, int64_t first_step,
                               char message[CNNTRAIN_MESSAGE]);
/* Appends a record. false with a message when the disk is full: neither file has a part of it then,
 * and later records may be tried. */
bool cnntrain_log_write(CnntrainLog *log, const CnntrainRecord *r, char message[CNNTRAIN_MESSAGE]);
/* NULL is allowed. */
void cnntrain_log_close(CnntrainLog *log);

/* The records of a .jsonl file, to be freed. Lines that are none are skipped and counted. false
 * with a message. */
bool cnntrain_log_read(const char *path, CnntrainRecord **records, size_t *count, size_t *skipped,
                       char message[CNNTRAIN_MESSAGE]);
#endif
