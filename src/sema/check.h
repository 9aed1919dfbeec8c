/* Inside the checker: scopes, and the walk over expressions. */
#ifndef CNNC_SEMA_CHECK_H
#define CNNC_SEMA_CHECK_H
#include "sema/sema.h"

typedef enum LocalKind {
    LOCAL_PARAM,
    LOCAL_BINDING,
    LOCAL_FN,
    LOCAL_BLOCK,
    LOCAL_STAGE,
    LOCAL_HEAD,
    LOCAL_INPUT,
    LOCAL_STEP
} LocalKind;
typedef struct Local {
    Sym name;
    LocalKind kind;
    Type type;
    AstId node; /* FN and BLOCK */
    Span span;
    bool used, other_arm; /* declared in the arm of an if that is not being checked */
} Local;

/* A reference from one declaration to another of the same module: recursion is a cycle of these. */
typedef struct Edge {
    AstId from, to;
    Span span;
} Edge;

typedef struct Checker {
    Session *s;
    Module *m;
    VEC(Local) locals;
    VEC(Edge) edges;
    AstId inside; /* the FN, BLOCK or NET whose body is checked */
    bool in_block, in_chain, in_stage;
} Checker;

void scope_declare(Checker *c, Sym name, LocalKind kind, Type type, AstId node, Span span);
Local *scope_find(Checker *c, Sym name);
/* Ends a scope: everything from `mark` on; unused names are warned about. */
void scope_close(Checker *c, uint32_t mark);
/* Reports an unknown name with the nearest known one. */
void scope_undefined(Checker *c, Sym name, Span span);

Type check_expr(Checker *c, AstId n);
/* As check_expr, and the value must fit. */
void check_as(Checker *c, AstId n, Type want);
/* Reports that n is a `have`, and how a `want` is made of it. */
void check_mismatch(Checker *c, AstId n, Type want, Type have);
/* The type behind a NAME or `alias.name`; false when n has another form. */
bool check_reference(Checker *c, AstId n, Type *out);
Type check_call(Checker *c, AstId n);
/* A chain; `tensor` says whether something flows into its first step. */
Type check_chain(Checker *c, AstId chain);
void check_annotations(Checker *c, AstId annots);
/* TRAIN, REFINE. */
void check_section(Checker *c, AstId section);

#define TYPE(K) ((Type){TY_##K, false})
#endif
