/* A base as the rules see it: its stages, the steps of their chains, and where strides come from.
 */
#ifndef CNNC_REFINE_VIEW_H
#define CNNC_REFINE_VIEW_H
#include "refine/trial.h"

/* A step of a stage's chain, as written: `unit(256) * depths[2]` is one part. */
typedef struct Part {
    AstId step;        /* AST_STEP */
    Span span;         /* all of it */
    Span call;         /* without the repeat */
    AstId times;       /* 0 = once */
    bool fixed;        /* has annotations, a condition or a name: cannot be split */
    bool in_stage;     /* an element of the stage's chain itself, not of a group inside */
    AstId valid_pad;   /* the value of an argument `pad=valid`; 0 = none */
    bool takes_stride; /* `stride=1` may be said where nothing is */
    uint32_t stage;
    uint32_t first, count; /* units */
    Span before, after;    /* neighbours in the chain; nowhere at its ends */
} Part;

/* One application of a step. */
typedef struct Unit {
    uint32_t part, index; /* index: which of the part's repeats */
    uint32_t inst;
    int64_t stride; /* of the whole step, both axes alike; 0 = not a whole number or unequal */
    bool pool;      /* the step is one pooling and nothing else */
    bool by_stage;  /* its stride is that of the stage */
    bool first;     /* of the stage: stage.stride reaches it */
    AstId literal;  /* inside the call, that says its stride; 0 = none */
    bool extractor; /* has a counted layer of the primary head's extractor */
    bool strained;  /* has an underutilized or unproductive layer */
} Unit;

typedef struct StageView {
    Sym name;
    Span span;
    AstId literal; /* of its stride contract; 0 = none */
    int64_t stride;
    uint32_t first, count; /* units */
} StageView;

/* A literal outside of steps (in a block, a let, a default) that says strides. */
typedef struct FarLiteral {
    AstId literal;
    int64_t value;
    VEC(uint32_t) units; /* whose stride it says */
} FarLiteral;

/* A number that a kernel or a dilation is. */
typedef struct SizeLiteral {
    AstId literal;
    int64_t value;
    bool dilation, also_stride;
    NodeId node; /* the first */
} SizeLiteral;

typedef struct View {
    Trial t;
    const RefineBase *base;
    Arena *a;
    VEC(Part) parts;
    VEC(Unit) units;
    VEC(StageView) stages;
    VEC(FarLiteral) far;
    VEC(SizeLiteral) sizes;
} View;

/* Opens the base; false when it does not elaborate. Closed with view_close in both cases. */
bool view_open(View *v, Arena *a, const RefineBase *base, const char *std_path);
void view_close(View *v);
const AstNode *view_node(const View *v, AstId n);
#endif
