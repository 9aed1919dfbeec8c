/* Between the parser, the scanner and the tree. Used by grammar/ and src/syntax only. */
#ifndef CNNC_PARSE_H
#define CNNC_PARSE_H
#include "syntax/ast.h"
#include <stdarg.h>

/* A list being collected: nodes linked through Parse.next. */
typedef struct NodeList {
    uint32_t head, tail, n;
} NodeList;

typedef struct Word {
    Sym sym;
    Span span;
} Word;

/* Depth of the tree that later stages may recurse over. */
enum { AST_MAX_DEPTH = 200 };

typedef struct Parse {
    Ast *ast;
    Intern *intern;
    Diags *diags;
    Arena *arena;
    void *scanner;
    uint32_t pos;              /* byte offset of the scanner */
    VEC(uint32_t) next, depth; /* by node id */
    bool too_deep;
} Parse;

/* Nodes. `n` kids follow; a kid may be AST_NIL. */
AstId parse_node(Parse *p, AstKind kind, Span span, int n, ...);
AstId parse_list(Parse *p, Span span, NodeList l);
AstId parse_named(Parse *p, AstKind kind, Span span, Word name, int n, ...);
AstNode *parse_at(Parse *p, AstId id);
void parse_push(Parse *p, NodeList *l, AstId id); /* NIL is dropped */
/* A chain from its source (may be NIL) and its steps. */
AstId parse_chain(Parse *p, Span span, AstId source, NodeList steps);
/* Gives a declaration its annotations: its first kid, or an error where it can have none. */
AstId parse_annotate(Parse *p, AstId decl, NodeList annots, Span span);
void parse_error(Parse *p, Span at, const char *text);
void parse_stray(Parse *p, Span at);
/* A word of other languages for one of ours: it is reported, and taken for it. */
void parse_misspelt(Parse *p, Span at, const char *right);
Word parse_single_quoted(Parse *p, Span at);
/* Literals as the scanner finds them. */
AstId parse_int(Parse *p, Span span, const char *text);
AstId parse_real(Parse *p, Span span, const char *text);
AstId parse_size(Parse *p, Span span, const char *text);
Word parse_string(Parse *p, Span span, const char *text, size_t len);
#endif
