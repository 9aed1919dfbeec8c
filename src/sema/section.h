/* The rows of section.def: what may stand in `train { }` and `refine { }`, for those who check it
 * and those who evaluate it. */
#ifndef CNNC_SECTION_H
#define CNNC_SECTION_H
#include <math.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum SectionValue {
    SV_INT,
    SV_REAL,
    SV_STR,
    SV_BOOL,
    SV_HEAD,
    SV_LOSS,
    SV_OPTIMIZER,
    SV_SCHEDULE,
    SV_AUGMENT,
    SV_BUDGET
} SectionValue;

typedef struct SectionRange {
    double lo, hi;
    bool lo_in, hi_in; /* whether the bounds themselves are allowed */
    const char *text;  /* "at least 0 and below 1" */
    const char *help;
} SectionRange;

typedef enum SectionRangeId {
#define RANGE(ID, LO, LO_IN, HI, HI_IN, TEXT, HELP) RANGE_##ID,
#include "sema/section.def"
    RANGE_COUNT_
} SectionRangeId;
extern const SectionRange section_range[RANGE_COUNT_];
/* False for what is no number, too. */
bool section_in_range(SectionRangeId range, double v);

enum { SECTION_TRAIN, SECTION_REFINE };
typedef struct SectionKey {
    int section;
    const char *name;
    SectionValue value;
    double def; /* NAN: none */
    SectionRangeId range;
} SectionKey;
typedef enum SectionKeyId {
#define KEY(SECTION, NAME, VALUE, DEFAULT, RANGE) SECTION_##SECTION##_##NAME,
#include "sema/section.def"
    SECTION_KEYS
} SectionKeyId;
extern const SectionKey section_key[SECTION_KEYS];

/* A call, or an argument of the call above it. */
typedef struct SectionRow {
    bool is_call;
    SectionValue value; /* what a call is one of; the type of an argument */
    const char *name;
    double def; /* of an argument; NAN: it has to be given */
    SectionRangeId range;
} SectionRow;
enum {
    SECTION_ROWS = 0
#define CALL(KIND, ID, NAME, DOC) +1
#define ARG(KIND, NAME, TYPE, DEFAULT, RANGE) +1
#include "sema/section.def"
};
extern const SectionRow section_row[SECTION_ROWS];
/* The row of the n-th call of the table, from 0 on. */
int section_call(int n);
/* The row of a call of this kind, -1 when there is none. */
int section_find(SectionValue kind, const char *name);
/* The row of a call's argument, -1 when it takes none of that name. */
int section_arg(int call, const char *name);
/* How many arguments a call takes; their rows follow its own. */
int section_arg_count(int call);
/* The i-th text that a key or argument takes, NULL after the last. */
const char *section_word(const char *key, int i);
/* Whether it takes that one, or any. */
bool section_takes(const char *key, const char *text);
#endif
