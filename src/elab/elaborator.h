/* Inside elaboration: values, frames, and the state of one net being built. */
#ifndef CNNC_ELABORATOR_H
#define CNNC_ELABORATOR_H
#include "elab/elab.h"
#include "sema/sema.h"

typedef enum ValueKind {
    V_POISON,
    V_INT,
    V_REAL,
    V_BOOL,
    V_STR,
    V_SIZE,
    V_PAD,
    V_LIST,
    V_LAYER,
    V_FUNCTION,
    V_TENSOR
} ValueKind;

struct Value;
struct Frame;

/* A layer or function as a value: an operator, or a declaration with the names around it. Arguments
 * that were given with it wait in `bound`, by formal; an entry of kind V_POISON is not given. */
typedef struct Closure {
    Op op; /* OP_NONE: a declaration; the identity when decl is none, too */
    bool is_builtin;
    Builtin builtin;
    const Module *module;
    AstId decl;
    struct Frame *frame;
    const struct Value *bound;
} Closure;

typedef struct Value {
    ValueKind kind;
    bool ordinal;  /* depends on block.i or block.n: may not decide structure */
    uint32_t lits; /* literals that fed it; index in Elab.litsets */
    union {
        int64_t i;
        double r;
        bool b;
        const char *str;
        Size2 size;
        Pad pad;
        struct {
            const struct Value *at;
            uint32_t n;
        } list;
        const Closure *closure;
        NodeId node;
    };
} Value;
#define POISON ((Value){.kind = V_POISON})

typedef struct Binding {
    Sym name;
    Value value;
} Binding;

/* The names of one declaration being elaborated, inside those around it. */
typedef struct Frame {
    struct Frame *parent;
    const Module *module;
    VEC(Binding) names;
    bool has_in;
    NodeId in;
    AstId block;          /* the BLOCK this is a call of; none for nets, functions, files */
    uint32_t block_count; /* index in Elaborator.counts */
    int64_t block_i;
    bool transparent; /* names bound here belong to the parent: stages and heads */
} Frame;

/* Instances of one block: in a first pass they are counted, in the second block.n is known. */
typedef struct BlockCount {
    const Module *module;
    AstId block;
    int64_t seen, total;
} BlockCount;

typedef struct StageCtx {
    Value stride;
    int64_t i; /* index of the step instance */
    bool head;
} StageCtx;

typedef struct LetValue {
    const Module *module;
    AstId decl;
    Value value;
    bool busy;
} LetValue;

/* Per node: the input of the step that made it, and the literals behind its channels and its map.
 */
typedef struct NodeFacts {
    NodeId step_in;
    uint32_t lits_c, lits_hw;
} NodeFacts;

typedef struct GivenName {
    NodeId node;
    const char *theirs;
    Span span;
} GivenName;

typedef struct Elaborator {
    Elab *e;
    Session *s;
    Arena *a;
    const ElabOptions *opt;
    VEC(BlockCount) counts;
    VEC(LetValue) lets;
    Map let_index; /* module and node of a LET: 1 + its place in lets */
    VEC(NodeFacts) facts;
    uint32_t capacity; /* of e->shape and e->rf */
    uint32_t depth;    /* of nested evaluation: the C stack is finite */
    StageCtx *stage;
    NodeId step_input;    /* of the current step of the stage */
    VEC(GivenName) given; /* @name annotations, until the operators have their names */
    uint32_t inst;        /* current instance */
    uint32_t structure;   /* literals that decide whether what is built now exists */
    Span instance_span;
    int64_t fuel;
    bool ordinal_used, counting;
    bool failed;           /* an error was reported that does not stop what is built */
    uint32_t *lit_buckets; /* hash of literal sets */
    uint32_t lit_bucket_count;
    Map lit_index; /* module and node of a literal: its index */
} Elaborator;

/* Literal sets. */
uint32_t lits_one(Elaborator *el, const Module *m, AstId literal);
uint32_t lits_union(Elaborator *el, uint32_t a, uint32_t b);

/* Values. */
Value value_int(int64_t i);
Value value_real(double r);
Value value_bool(bool b);
Value value_tensor(NodeId n);
Type value_type(const Value *v);
bool value_equal(const Value *a, const Value *b);
double value_number(const Value *v); /* of V_INT and V_REAL */
/* Of two numbers: below, at or above zero as a is less, equal or greater; ints exactly. */
int value_order(const Value *a, const Value *b);
/* v as a value of type t, or poison after reporting. */
Value value_as(Elaborator *el, Value v, Type t, Span span);
void value_print(const Value *v, Buf *out);

/* Frames. */
Frame *frame_new(Elaborator *el, Frame *parent, const Module *m);
void frame_bind(Elaborator *el, Frame *f, Sym name, Value v);

/* Expressions. `poison` results were reported. */
Value eval(Elaborator *el, Frame *f, AstId n);
Value eval_as(Elaborator *el, Frame *f, AstId n, Type t);
Value eval_builtin(Elaborator *el, Frame *f, Builtin b, AstId args, Span span);
Value eval_unary(Elaborator *el, Frame *f, AstId n);
Value eval_binary(Elaborator *el, Frame *f, AstId n);
Value eval_call(Elaborator *el, Frame *f, AstId n);
/* The same name as a layer that is going to be applied; poison after reporting that it is none. */
Value eval_layer(Elaborator *el, Frame *f, AstId n);
/* The nearest frame that is applied to a tensor; NULL when there is none. */
const Frame *frame_with_in(const Frame *f);
/* Reports a value that depends on block.i where structure is decided; true when it does. */
bool reject_ordinal(Elaborator *el, const Value *v, Span span);
/* False and a report when the budget of the elaboration is spent. */
bool spend(Elaborator *el, Span span);

/* What a call passes, before it is evaluated. */
typedef struct Args {
    Frame *frame;
    AstId list; /* LIST of ARG, or none */
    Span span;  /* of the call, for messages */
} Args;
/* Applies a layer to `in`, or to its leading arguments when in is NULL. Without any tensor the
 * result is the layer with these arguments bound. */
Value apply_layer(Elaborator *el, const Closure *c, const Args *args, const Value *in);
Value apply_function(Elaborator *el, const Closure *c, const Args *args);
/* Adds a node; poison after reporting. */
Value apply_op(Elaborator *el, Op op, const AttrVal *attrs, const uint32_t *lits, const NodeId *ins,
               uint32_t nin, Span span);

/* Runs the steps of a chain; top: they are the steps of a stage or head, with paths of their own.
 */
typedef struct ChainTop {
    const char *prefix; /* "s3" */
    uint32_t parent;    /* instance of the stage */
} ChainTop;
Value run_chain(Elaborator *el, Frame *f, AstId chain, Value in, ChainTop *top);
uint32_t inst_open(Elaborator *el, InstKind kind, const char *name, const char *path,
                   uint32_t parent, uint32_t index, Span span, NodeId in);
/* Annotations of what was built as instance inst, from node `first` on. */
void apply_annotations(Elaborator *el, const Module *m, AstId annots, uint32_t inst,
                       uint32_t first);

/* Names the operators made since name_from: prefix.kind, numbered where a kind occurs twice. */
void name_operators(Elaborator *el, uint32_t from, const char *prefix);
/* A net whose arguments are bound: its declaration and the frame of its parameters. */
typedef struct OpenNet {
    const Module *module;
    AstId decl; /* AST_NET */
    Frame *frame;
} OpenNet;
/* Follows aliases down to the net and binds parameters, those of -p included. */
bool net_open(Elaborator *el, NetRef net, OpenNet *out);
/* Reports a stage between in and out, its nodes from `first` on, whose map shrinks by another
 * factor than stride/up; whether it kept its word. */
bool contract_check(Elaborator *el, const AstNode *stage, const Value *stride, const Value *up,
                    NodeId in, uint32_t first, NodeId out);
/* The train section of a net that is built, into el->e->trained; false after reporting. */
bool train_evaluate(Elaborator *el, Frame *net);
/* The items of a net, into el->e. */
bool net_build(Elaborator *el, const OpenNet *net);
#endif
