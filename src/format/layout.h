/* From tokens and tree to a document. */
#ifndef CNNC_LAYOUT_H
#define CNNC_LAYOUT_H
#include "format/doc.h"
#include "syntax/ast.h"

typedef struct Layout {
    const Ast *t;
    Arena *a;
    Doc doc;
    VEC(uint32_t) open; /* indices of the BEGIN items of the groups that are open */
    uint32_t low;       /* groups that have been open ever since the last token */
    uint32_t cursor;    /* next token, comments included */
    bool failed;        /* the tokens are not those the tree promises */
} Layout;

/* Tokens: the next one is put out, with the comments before and after it. */
void lay_token(Layout *l);
/* Does the next token (comments apart) read like this? */
bool lay_next_is(const Layout *l, const char *text);
/* The same, and it must. */
void lay_expect(Layout *l, const char *text);
/* Byte at which the next token starts; the end of the file when there is none. */
uint32_t lay_next_at(const Layout *l);

void lay_add(Layout *l, DocKind kind);
void lay_mark(Layout *l, DocMark mark);
void lay_begin(Layout *l, DocGroup group);
void lay_end(Layout *l);
/* All open groups are broken. */
void lay_break(Layout *l);
/* The comments before a closing bracket are still inside it. Ends the indentation. */
void lay_close(Layout *l, DocKind line, const char *bracket);

/* Expressions, arguments and chains. */
void lay_expr(Layout *l, AstId n);
/* `stage`: the arguments and the `*` of the first step are columns. */
void lay_chain(Layout *l, AstId n, bool stage);
/* A step whose arguments align with those of its neighbours that apply the same layer. */
typedef struct LayRow {
    uint32_t layer; /* a hash of its name */
    uint8_t broken; /* the group that has to be broken: so many around the arguments'; 0 = none */
} LayRow;
/* From an opening bracket to the closing one; row: NULL where nothing aligns. */
void lay_list(Layout *l, AstId list, void (*entry)(Layout *, AstId), const LayRow *row);
void lay_arg(Layout *l, AstId n);
/* "= value", after a name. */
void lay_assign(Layout *l, AstId value, int mark);
/* A whole file. */
void lay_file(Layout *l);
#endif
