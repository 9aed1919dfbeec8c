/* Elaboration: a net and its arguments become a graph, with shapes and receptive fields inferred on
 * the way (conditions may ask for them), an instance tree for reports, and for every value the set
 * of literals that fed it. */
#ifndef CNNC_ELAB_H
#define CNNC_ELAB_H
#include "analysis/rf.h"
#include "ir/graph.h"
#include "sema/session.h"

/* A literal of the source: what a refinement may change. */
typedef struct LitRef {
    uint32_t module; /* index in Session.modules */
    AstId node;      /* INT, REAL, SIZE or BOOL */
} LitRef;
/* A set of literals, by index in Elab.litsets; 0 = empty. Members are sorted indices of Elab.lits.
 */
typedef struct LitSet {
    const uint32_t *at;
    uint32_t n;
} LitSet;

/* Where a node came from. */
typedef struct Origin {
    Span span;          /* the step, in the source, that applied the operator */
    Span instance;      /* the step of the stage or head that this is part of */
    uint32_t inst;      /* index in Elab.insts */
    uint32_t structure; /* litset that decided that the node exists (repeats, conditions) */
    uint32_t attrs[OP_MAX_ATTRS]; /* litset per attribute */
} Origin;

typedef enum InstKind { INST_NET, INST_STAGE, INST_HEAD, INST_STEP, INST_BLOCK } InstKind;
typedef struct Inst {
    InstKind kind;
    const char *name; /* stage, head, or called block/operator */
    const char *path; /* "s3.2" */
    uint32_t parent;
    uint32_t index; /* position among its parent's instances */
    Span span;
    NodeId in, out; /* tensor it was applied to and its result */
} Inst;

/* An @allow on a part of the net; Diags.allows holds what is common to all its instances. */
typedef struct Allow {
    Sym lint;
    Span span;
    uint32_t inst; /* applies to nodes of this instance and below */
} Allow;

/* @frozen() and @dtype(...) on a part of the net. */
typedef struct Mark {
    enum { MARK_FROZEN, MARK_DTYPE } kind;
    Sym what; /* the type's name */
    uint32_t inst;
    Span span;
} Mark;

typedef struct NameRule {
    const char *ours, *theirs; /* ours NULL: ignore what matches theirs */
    Span span;
    bool used;
} NameRule;
typedef struct NameMap {
    Sym name; /* "torchvision" */
    VEC(NameRule) rules;
} NameMap;

/* A key of a train or refine section. */
typedef struct SectionEntry {
    Sym key;
    AstId value;
    uint32_t module;
    Span span;
} SectionEntry;

typedef struct GivenParam {
    Sym name;
    const char *text;
} GivenParam;

struct TrainSpec;
typedef struct Elab {
    Session *session;
    Arena *arena;
    Graph graph;
    Shape *shape; /* by node id; valid for all nodes when elab_net succeeded */
    RfInfo *rf;
    VEC(Origin) origins; /* index 0 unused */
    VEC(Inst) insts;     /* index 0 = the net */
    VEC(LitRef) lits;    /* index 0 unused */
    VEC(LitSet) litsets; /* index 0 = empty */
    VEC(Allow) allows;
    VEC(Mark) marks;
    VEC(NameMap) names;
    VEC(SectionEntry) train, refine;
    const struct TrainSpec *trained; /* what train evaluates to (elab/train_spec.h) */
    VEC(const char *) param_values;  /* "width=1.1", for reports */
    Span net_span;
    /* The net behind the aliases, and what they or -p gave its parameters, as source text. */
    uint32_t decl_module;
    AstId decl;
    VEC(GivenParam) given;
} Elab;

/* A value for a literal in place of the written one: how candidates are tried without editing. */
typedef struct LitOverride {
    LitRef lit;
    bool is_size;
    int64_t i;
    int64_t size[2];
} LitOverride;

typedef struct NetRef {
    uint32_t module;
    AstId decl; /* AST_NET or AST_NETALIAS */
    Sym name;
    bool concrete; /* no unbound parameters without a default */
} NetRef;

typedef struct ElabOptions {
    const char *const *params; /* "name=value" from -p; they reach through aliases */
    uint32_t param_count;
    int64_t input[3]; /* --input c x h x w; 0 = as declared. Replaces the declared dims and a
                         net parameter called res when there is one */
    const LitOverride *overrides;
    uint32_t override_count;
} ElabOptions;

/* Finds what a command-line word names: FILE.cnn:NET, FILE.cnn (its last net), or a library net.
 * On failure reports and returns false. */
bool elab_find(Session *s, const char *spec, NetRef *out);
/* Every net declared in the file or library module, for `check FILE` and `nets`. */
uint32_t elab_nets(Session *s, const char *file_or_std, NetRef **out);
/* Every net of the standard library. */
uint32_t elab_std_nets(Session *s, NetRef **out);
/* NULL when errors were reported. Lints about receptive fields are not emitted here; unused names
 * and the like are. The net's arena must outlive the result. */
Elab *elab_net(Session *s, Arena *net_arena, NetRef net, const ElabOptions *opt);

/* The syntax node of a literal, NULL when the reference is invalid. */
const AstNode *elab_literal(const Session *s, LitRef l);
/* The literal written as `stride=` of the stage with this span; false when there is none. */
bool elab_stage_stride_literal(const Session *s, Span stage, LitRef *out);

/* Names of parameters in a public checkpoint: NULL when no rule maps it. */
const char *elab_name_theirs(Arena *a, const NameMap *m, const char *ours);
/* What is wrong with a rule of a names section, or NULL. */
const char *elab_name_problem(const char *ours, const char *theirs);
bool elab_name_ignored(const NameMap *m, const char *theirs);
#endif
