/* The syntax tree: nodes in one array, kids as id slices, byte spans on everything. Blocks stay
 * generic; what later stages learn lives in side tables by id. Never modified after parsing. */
#ifndef CNNC_AST_H
#define CNNC_AST_H
#include "support/buf.h"
#include "support/diag.h"
#include "support/intern.h"
#include "support/source.h"

typedef enum AstKind {
#define AST(KIND, NAME, KIDS) AST_##KIND,
#include "syntax/ast.def"
    AST_KIND_COUNT
} AstKind;

typedef struct AstId {
    uint32_t v; /* 0 = none */
} AstId;
#define AST_NIL ((AstId){0})

typedef enum AstOp {
    UN_NEG = 1,
    UN_NOT,
    BIN_ADD,
    BIN_SUB,
    BIN_MUL,
    BIN_DIV,
    BIN_IDIV,
    BIN_MOD,
    BIN_EQ,
    BIN_NE,
    BIN_LT,
    BIN_GT,
    BIN_LE,
    BIN_GE,
    BIN_AND,
    BIN_OR
} AstOp;
extern const char *const ast_op_text[]; /* "+", "//", "and", ... by AstOp */

enum { AF_QUOTED = 1, AF_LIST = 2, AF_SHORT = 4, AF_ARGS = 8 };

typedef struct AstNode {
    uint8_t kind, op, flags;
    uint32_t kid_first, kid_count; /* into Ast.kids */
    Span span;                     /* from its first to its last token */
    Span name_span;                /* the declared or called name, where it has one */
    Sym sym, sym2;
    union {
        int64_t i;
        double r;
        int64_t size[2];
    };
} AstNode;

/* One token, for the formatter and for tests; comments are tokens too. */
typedef struct Token {
    int kind; /* the parser's token number; TOKEN_COMMENT for comments */
    uint32_t lo, hi;
} Token;
enum { TOKEN_COMMENT = -1 };

/* One file's tree. Ids are unique within an Ast only. */
typedef struct Ast {
    Arena *arena;
    uint32_t src; /* index in the SourceMap */
    const char *text;
    VEC(AstNode) nodes; /* index 0 unused */
    VEC(AstId) kids;
    VEC(Token) tokens;
    AstId root; /* AST_FILE */
} Ast;

static inline const AstNode *ast_node(const Ast *t, AstId n)
{
    return &t->nodes.at[n.v];
}
static inline AstId ast_kid(const Ast *t, AstId n, uint32_t i)
{
    return t->kids.at[t->nodes.at[n.v].kid_first + i];
}
extern const char *const ast_kind_name[AST_KIND_COUNT];

/* Parses one source. Always returns a tree (with POISON where errors were); errors are in diags,
 * several per run. src comes from source_add. */
Ast *parse_file(Arena *a, Intern *in, Diags *d, SourceMap *m, uint32_t src);
/* Indented text form, stable, without spans unless asked. */
void ast_print(const Ast *t, Buf *out, bool spans);
/* Same structure, names and literals (spans ignored). */
bool ast_equal(const Ast *a, const Ast *b);
#endif
