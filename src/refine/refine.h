/* Refinement: edits of the source that leave every layer of a network productive (receptive fields
 * below the resolution), found by trying. A candidate is a set of rule applications (refine.def)
 * turned into text edits; the edited text is parsed, checked, elaborated and analysed like any
 * other source, so that no rule can make an invalid network. */
#ifndef CNNC_REFINE_H
#define CNNC_REFINE_H
#include "analysis/analysis.h"
#include "elab/elab.h"
#include <stdatomic.h>

typedef enum RefineRule {
#define RULE(ID, NAME, CLASS, DOC) RULE_##ID,
#include "refine/refine.def"
    RULE_COUNT
} RefineRule;
extern const char *const refine_rule_name[RULE_COUNT];

/* The source that edits are made to: a whole file, or a net of the library (or behind an alias)
 * written out as a net of its own with its arguments as defaults. */
typedef struct RefineBase {
    const char *path; /* that it is parsed under: relative imports start there */
    const char *net;
    const char *text;
    size_t len;
    bool copied; /* a library net written out: no file holds it yet */
} RefineBase;

/* Makes the base of a net as the options have it. False with the reason in *why. The net must
 * elaborate; all texts are in arena `a`. */
bool refine_base(Session *s, Arena *a, NetRef net, const ElabOptions *opt, RefineBase *out,
                 const char **why);

/* What is known about a text that was tried. */
typedef struct RefineScore {
    bool valid;    /* it elaborates */
    bool feasible; /* n < input on both axes */
    int64_t n[2], n_max[2], input[2];
    int64_t params, macs;
    int64_t memory; /* bytes of activations of one image, largest live set */
    uint32_t bad;   /* underutilized and unproductive layers */
} RefineScore;

typedef struct RefineEdit {
    uint32_t lo, hi; /* bytes of the base */
    const char *text;
} RefineEdit;

enum { REFINE_EDITS_MAX = 64, REFINE_OPS_MAX = 12 };

typedef struct RefineCandidate {
    RefineScore score;
    uint32_t ops;                      /* rule applications */
    uint32_t notes;                    /* texts that tell what was done: one for each, or for all */
    RefineRule rule[REFINE_OPS_MAX];   /* of each note */
    const char *what[REFINE_OPS_MAX];  /* "stride 2 -> 1 at s4.0", in the arena */
    uint32_t edit_count;               /* sorted by place, not overlapping */
    RefineEdit edit[REFINE_EDITS_MAX]; /* texts in the arena */
    char *text;                        /* the edited source, in the arena; NULL for the base */
    size_t len;
} RefineCandidate;

typedef enum RefineStrategy {
    REFINE_LESS_DOWNSAMPLING,
    REFINE_SHORTER_WIDER,
    REFINE_FIT
} RefineStrategy;
typedef enum RefineOrder { REFINE_CLOSEST, REFINE_MIN_COST } RefineOrder;

typedef struct RefineOptions {
    RefineStrategy strategy;
    RefineOrder order;
    bool from_above; /* the other way: from layers that cannot see the whole image */
    uint32_t edits;  /* rule applications to look for; 0 = as few as do it */
    int64_t max_macs, max_params, max_memory; /* 0 = no bound */
    double param_slack;                       /* of the original parameters; 0.02 unless given */
    const char *const *keep;                  /* stages that stay as they are */
    uint32_t keep_count;
    const char *std_path;
    int threads;
} RefineOptions;

typedef struct RefineResult {
    RefineScore base;
    VEC(RefineCandidate) all; /* feasible and within the bounds, best first */
    uint32_t tried;
    atomic_bool starved; /* memory ran out: the list may lack some */
    bool bounded;        /* some were feasible but over a bound; the least that would do: */
    int64_t least_macs, least_params, least_memory;
    int64_t least_n[2]; /* smallest n seen when none was feasible */
} RefineResult;

/* Whether the largest receptive field stays below the input on some axis. */
bool refine_is_above(const RefineScore *s);
/* False when the base itself does not elaborate, or memory ran out. */
bool refine_run(Arena *a, const RefineBase *base, const RefineOptions *o, RefineResult *out);
#endif
