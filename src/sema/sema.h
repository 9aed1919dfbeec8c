/* Names and types: modules and their declarations, what a name means where it stands, and what can
 * be said about a program before any parameter has a value. */
#ifndef CNNC_SEMA_H
#define CNNC_SEMA_H
#include "ops/op.h"
#include "sema/session.h"
#include "support/map.h"

/* Static types. Unknown stands where an error was reported, and fits everywhere. */
typedef enum TypeKind {
    TY_UNKNOWN,
    TY_INT,
    TY_REAL,
    TY_BOOL,
    TY_STR,
    TY_SIZE,
    TY_PAD,
    TY_LAYER,
    TY_TENSOR,
    TY_FUNCTION,
    TY_NET
} TypeKind;
typedef struct Type {
    TypeKind kind;
    bool list;
} Type;
/* "int", "list of real"; lives in static storage. */
const char *type_text(Type t);
Type type_of_attr(AttrType t);
Type type_by_name(Sym name, bool list); /* kind TY_UNKNOWN when there is no such type */
/* A value of type `from` may stand where `to` is wanted: int for real, size and pad; size for pad;
 * a list of int for pad; lists element by element. */
bool type_fits(Type from, Type to);

/* A top-level declaration. */
typedef struct Decl {
    Sym name;
    AstId node; /* LET, FN, BLOCK, NET or NETALIAS */
    Span span;  /* its name */
} Decl;

struct Module;
typedef struct Import {
    Sym alias;   /* NULL: its names are visible without a prefix */
    Sym written; /* the module, as the import line names it */
    const struct Module *module;
    Span span;
    bool used;
} Import;

struct Module {
    uint32_t index;   /* in Session.modules */
    const char *path; /* canonical; "std/resnet.cnn" for embedded ones */
    bool std, loading, broken;
    bool partial; /* declarations may be missing: syntax errors, lost imports, partial imports */
    Ast *ast;
    VEC(Decl) decls;
    Map decl_index; /* name: 1 + its place in decls */
    VEC(Import) imports;
    Type *result; /* by node: type of a LET, result of an FN; NULL before checking */
};

static inline const AstNode *node_at(const Module *m, AstId n)
{
    return ast_node(m->ast, n);
}
static inline AstId kid_at(const Module *m, AstId n, uint32_t i)
{
    return ast_kid(m->ast, n, i);
}
static inline uint32_t kid_count(const Module *m, AstId n)
{
    return n.v == 0 ? 0 : ast_node(m->ast, n)->kid_count;
}

/* Loads a file, or a library module ("resnet"), with all it imports, and checks it; once per
 * session. NULL when it cannot be read (reported at `at`); broken is set when errors were found. */
Module *module_load_file(Session *s, const char *path, Span at);
Module *module_load_std(Session *s, const char *name, Span at);

/* The tree of a file named by the user: its folder, or the working directory where that holds it.
 */
void tree_root(Session *s, const char *path);
/* Whether `path`, as a module of the file `importer` says it, stays in the tree, or the library in
 * its own; `opened` is where it leads. Judged by the text first, then by where links lead. */
bool tree_holds(Session *s, const Module *from, const char *importer, const char *path,
                const char *opened);

typedef enum RefKind {
    REF_NONE,
    REF_DECL,
    REF_OP,
    REF_FUNCTION,
    REF_PADDING,
    REF_IDENTITY
} RefKind;
typedef enum Builtin {
#define FUNCTION(ID, NAME, LEAST, MOST, RESULT, DOC) BUILTIN_##ID,
#include "sema/builtin.def"
    BUILTIN_COUNT
} Builtin;
typedef struct BuiltinInfo {
    const char *name;
    int least, most;
    char result; /* 'I', 'R' or 'J' */
} BuiltinInfo;
extern const BuiltinInfo builtin_info[BUILTIN_COUNT];

/* What a name at module level means, when no local one is meant. */
typedef struct Ref {
    RefKind kind;
    const Module *module; /* REF_DECL */
    AstId node;
    Op op;
    Builtin function;
    PadKind padding;
} Ref;
Ref module_lookup(const Module *m, Sym name);
/* alias.name */
Ref module_lookup_in(const Module *m, Sym alias, Sym name, bool *is_alias);
const Decl *module_decl(const Module *m, Sym name); /* its own ones */

/* What a layer, function or net takes. */
typedef struct Formal {
    const char *name;
    Type type;
    bool required;
    AstId def; /* default expression, in Signature.module */
    Span span;
} Formal;
typedef struct Signature {
    const char *name;
    const Module *module; /* NULL for operators */
    const Formal *formals;
    uint32_t count;
    Span span;
} Signature;
Signature signature_of_op(Arena *a, Op op);
Signature signature_of_decl(Arena *a, const Module *m, AstId decl); /* FN BLOCK NET NETALIAS */

/* Matches arguments to formals: slot[f] = index of the argument in the list, or -1. The first
 * `skip` positional arguments are tensors that the layer is applied to. Reports unknown, repeated
 * and surplus arguments; missing ones are args_missing's. */
bool args_bind(Session *s, const Module *m, const Signature *sig, AstId args, uint32_t skip,
               int32_t *slot);
/* Reports that a formal without default has no value. */
void args_missing(Session *s, Span call, const Signature *sig, const Formal *f);

/* Checks all bodies of a module: names, types, arguments, sections. */
void module_check(Session *s, Module *m);
#endif
