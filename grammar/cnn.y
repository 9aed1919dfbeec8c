/* The grammar of .cnn files. No conflicts, three places of recovery besides the end of a file. */
%code requires {
#include "syntax/parse.h"
}
%code {
#include "cnn_lex.h"

static void cnn_error(const Span *at, Parse *p, const char *text)
{
    parse_error(p, *at, text);
}
#define YYMAXDEPTH 4000
}
%code top {
#define YYLLOC_DEFAULT(Current, Rhs, N)                                                            \
    ((Current) = (N) > 0 ? span_join(YYRHSLOC(Rhs, 1), YYRHSLOC(Rhs, N))                           \
                         : (Span){YYRHSLOC(Rhs, 0).src, YYRHSLOC(Rhs, 0).hi, YYRHSLOC(Rhs, 0).hi})
}
%define api.prefix {cnn_}
%define api.token.prefix {CNN_}
%define api.pure full
%define api.location.type {Span}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param {Parse *p}
%union { AstId id; NodeList list; Word word; }
%code provides {
int cnn_lex(CNN_STYPE *value, Span *at, void *scanner);
}
%code {
static int next_token(CNN_STYPE *value, Span *at, Parse *p)
{
    return cnn_lex(value, at, p->scanner);
}
#undef yylex
#define yylex next_token
}
%token <word> IDENT "identifier" STRING "string"
%token <id> INT "integer" REAL "real" SIZE "size"
%token BLOCK "'block'" NET "'net'" STAGE "'stage'" HEAD "'head'" INPUT "'input'" LET "'let'"
%token IF "'if'" ELSE "'else'" WHEN "'when'" IMPORT "'import'" AS "'as'" TRAIN "'train'"
%token REFINE "'refine'" REQUIRE "'require'" IN "'in'" OUT "'out'" PREV "'prev'"
%token NAMES "'names'" IGNORE "'ignore'"
%token TRUE "'true'" FALSE "'false'" AND "'and'" OR "'or'" NOT "'not'"
%token ARROW "'->'" IDIV "'//'" EQ "'=='" NE "'!='" LE "'<='" GE "'>='"
%token END 0 "end of file"
%nterm <list> decls params params1 opt_params stmts items opt_args pairs renames args args1
%nterm <list> list list1 annots steps piped_steps
%nterm <id> bare_decl import let_decl param type default block_decl stmt net_decl item if_item
%nterm <id> stage head section annot step times when expr piped or and not cmp add mul unary
%nterm <id> postfix primary if_expr arg qname
%nterm <word> path as
%%
top: decls                              { p->ast->root = parse_node(p, AST_FILE, @$, 0);
                                          AstNode *f = parse_at(p, p->ast->root);
                                          AstId l = parse_list(p, @$, $decls);
                                          f = parse_at(p, p->ast->root);
                                          f->kid_first = parse_at(p, l)->kid_first;
                                          f->kid_count = parse_at(p, l)->kid_count; };
decls: %empty                           { $$ = (NodeList){0}; }
     | decls annots bare_decl           { $$ = $1;
                                          parse_push(p, &$$, parse_annotate(p, $3, $2, @2)); }
     | decls error                      { $$ = $1; };
bare_decl: import | let_decl | block_decl | net_decl;
import: IMPORT path                     { $$ = parse_named(p, AST_IMPORT, @$, $2, 0); }
     | IMPORT path AS IDENT             { $$ = parse_named(p, AST_IMPORT, @$, $2, 0);
                                          parse_at(p, $$)->sym2 = $4.sym; }
     | IMPORT STRING                    { $$ = parse_named(p, AST_IMPORT, @$, $2, 0);
                                          parse_at(p, $$)->flags = AF_QUOTED; }
     | IMPORT STRING AS IDENT           { $$ = parse_named(p, AST_IMPORT, @$, $2, 0);
                                          parse_at(p, $$)->flags = AF_QUOTED;
                                          parse_at(p, $$)->sym2 = $4.sym; };
path: IDENT
     | path '.' IDENT                   { $$ = (Word){intern(p->intern, arena_printf(p->arena,
                                              "%s.%s", $1.sym, $3.sym)), @$}; };

let_decl: LET IDENT '=' expr            { $$ = parse_named(p, AST_LET, @$, $2, 1, $4); }
     | LET IDENT '(' params ')' '=' expr
                                        { $$ = parse_named(p, AST_FN, @$, $2, 2,
                                                           parse_list(p, @4, $4), $7); };
params: %empty                          { $$ = (NodeList){0}; }
     | params1 comma;
params1: param                          { $$ = (NodeList){0}; parse_push(p, &$$, $1); }
     | params1 ',' param                { $$ = $1; parse_push(p, &$$, $3); };
comma: %empty | ',';
param: IDENT ':' type default           { $$ = parse_named(p, AST_PARAM, @$, $1, 2, $3, $4); };
type: IDENT                             { $$ = parse_named(p, AST_TYPE, @$, $1, 0); }
     | '[' IDENT ']'                    { $$ = parse_named(p, AST_TYPE, @$, $2, 0);
                                          parse_at(p, $$)->flags = AF_LIST; };
default: %empty                         { $$ = AST_NIL; }
     | '=' expr                         { $$ = $2; };
opt_params: %empty                      { $$ = (NodeList){0}; }
     | '(' params ')'                   { $$ = $2; };

block_decl: BLOCK IDENT opt_params '=' steps
        { NodeList one = {0};
          AstId chain = parse_chain(p, @5, AST_NIL, $5);
          parse_push(p, &one, parse_node(p, AST_OUT, @5, 1, chain));
          $$ = parse_named(p, AST_BLOCK, @$, $2, 3, AST_NIL, parse_list(p, @3, $3),
                           parse_list(p, @5, one));
          parse_at(p, $$)->flags = AF_SHORT; }
     | BLOCK IDENT opt_params '{' stmts '}'
        { $$ = parse_named(p, AST_BLOCK, @$, $2, 3, AST_NIL, parse_list(p, @3, $3),
                           parse_list(p, @5, $5)); }
     | BLOCK IDENT opt_params '{' error '}'
        { yyerrok; $$ = parse_node(p, AST_POISON, @$, 0); };
stmts: %empty                           { $$ = (NodeList){0}; }
     | stmts stmt                       { $$ = $1; parse_push(p, &$$, $2); };
stmt: let_decl
     | REQUIRE expr ',' STRING          { AstId text = parse_named(p, AST_STRING, @4, $4, 0);
                                          $$ = parse_node(p, AST_REQUIRE, @$, 2, $2, text); }
     | IDENT '=' expr                   { $$ = parse_named(p, AST_BIND, @$, $1, 1, $3); }
     | OUT '=' expr                     { $$ = parse_node(p, AST_OUT, @$, 1, $3); };

net_decl: NET IDENT opt_params '{' items '}'
        { $$ = parse_named(p, AST_NET, @$, $2, 3, AST_NIL, parse_list(p, @3, $3),
                           parse_list(p, @5, $5)); }
     | NET IDENT opt_params '=' expr
        { $$ = parse_named(p, AST_NETALIAS, @$, $2, 3, AST_NIL, parse_list(p, @3, $3), $5); };
items: %empty                           { $$ = (NodeList){0}; }
     | items annots item                { $$ = $1;
                                          parse_push(p, &$$, parse_annotate(p, $3, $2, @2)); }
     | items error                      { $$ = $1; };
item: INPUT IDENT '[' list ']' opt_args
        { $$ = parse_named(p, AST_INPUT, @$, $2, 3, AST_NIL, parse_list(p, @4, $4),
                           parse_list(p, @6, $6)); }
     | stage | head | let_decl | block_decl | section | if_item
     | REQUIRE expr ',' STRING          { AstId text = parse_named(p, AST_STRING, @4, $4, 0);
                                          $$ = parse_node(p, AST_REQUIRE, @$, 2, $2, text); };
if_item: IF expr '{' items '}'
        { $$ = parse_node(p, AST_IFITEM, @$, 3, $2, parse_list(p, @4, $4), AST_NIL); }
     | IF expr '{' items '}' ELSE '{' items '}'
        { AstId then = parse_list(p, @4, $4);
          $$ = parse_node(p, AST_IFITEM, @$, 3, $2, then, parse_list(p, @8, $8)); }
     | IF expr '{' items '}' ELSE if_item
        { NodeList one = {0};
          parse_push(p, &one, $7);
          AstId then = parse_list(p, @4, $4);
          $$ = parse_node(p, AST_IFITEM, @$, 3, $2, then, parse_list(p, @7, one)); };
stage: STAGE IDENT opt_args '{' steps '}'
        { AstId args = parse_list(p, @3, $3);
          $$ = parse_named(p, AST_STAGE, @$, $2, 3, AST_NIL, args,
                           parse_chain(p, @5, AST_NIL, $5)); }
     | STAGE error '}'                  { yyerrok; $$ = parse_node(p, AST_POISON, @$, 0); };
head: HEAD IDENT opt_args '=' steps
        { AstId args = parse_list(p, @3, $3);
          $$ = parse_named(p, AST_HEAD, @$, $2, 3, AST_NIL, args,
                           parse_chain(p, @5, AST_NIL, $5)); };
opt_args: %empty                        { $$ = (NodeList){0}; }
     | '(' args ')'                     { $$ = $2; };
section: TRAIN '{' pairs '}'            { $$ = parse_node(p, AST_TRAIN, @$, 0);
                                          AstNode l = *parse_at(p, parse_list(p, @3, $3));
                                          parse_at(p, $$)->kid_first = l.kid_first;
                                          parse_at(p, $$)->kid_count = l.kid_count; }
     | REFINE '{' pairs '}'             { $$ = parse_node(p, AST_REFINE, @$, 0);
                                          AstNode l = *parse_at(p, parse_list(p, @3, $3));
                                          parse_at(p, $$)->kid_first = l.kid_first;
                                          parse_at(p, $$)->kid_count = l.kid_count; }
     | NAMES IDENT '{' renames '}'      { $$ = parse_named(p, AST_NAMES, @$, $2, 0);
                                          AstNode l = *parse_at(p, parse_list(p, @4, $4));
                                          parse_at(p, $$)->kid_first = l.kid_first;
                                          parse_at(p, $$)->kid_count = l.kid_count; };
renames: %empty                         { $$ = (NodeList){0}; }
     | renames STRING '=' STRING        { $$ = $1;
                                          AstId r = parse_named(p, AST_RENAME,
                                                                span_join(@2, @4), $2, 0);
                                          parse_at(p, r)->sym2 = $4.sym;
                                          parse_push(p, &$$, r); }
     | renames IGNORE STRING            { $$ = $1;
                                          parse_push(p, &$$, parse_named(p, AST_IGNORE,
                                                     span_join(@2, @3), $3, 0)); };
pairs: %empty                           { $$ = (NodeList){0}; }
     | pairs IDENT '=' expr             { $$ = $1;
                                          parse_push(p, &$$, parse_named(p, AST_PAIR,
                                                     span_join(@2, @4), $2, 1, $4)); };

annots: %empty                          { $$ = (NodeList){0}; }
     | annots annot                     { if ($1.n == 0)
                                              @$ = @2; /* not from the end of what is before */
                                          $$ = $1;
                                          parse_push(p, &$$, $2); };
annot: '@' IDENT opt_args               { $$ = parse_named(p, AST_ANNOT, @$, $2, 1,
                                                           parse_list(p, @3, $3)); };

steps: step                             { $$ = (NodeList){0}; parse_push(p, &$$, $1); }
     | steps ARROW step                 { $$ = $1; parse_push(p, &$$, $3); };
step: annots qname times when as        { if ($1.n == 0)
                                              @$.lo = @2.lo; /* no annotations: no place */
                                          AstId notes = parse_list(p, @1, $1),
                                                args = parse_list(p, @2, (NodeList){0});
                                          $$ = parse_node(p, AST_STEP,
                                                @$, 5, notes, $2, args,
                                                $3, $4);
                                          parse_at(p, $$)->sym2 = $5.sym;
                                          parse_at(p, $$)->name_span = $5.span; }
     | annots qname '(' args ')' times when as
                                        { if ($1.n == 0)
                                              @$.lo = @2.lo;
                                          AstId notes = parse_list(p, @1, $1),
                                                args = parse_list(p, @4, $4);
                                          $$ = parse_node(p, AST_STEP,
                                                @$, 5, notes, $2, args,
                                                $6, $7);
                                          parse_at(p, $$)->flags = AF_ARGS;
                                          parse_at(p, $$)->sym2 = $8.sym;
                                          parse_at(p, $$)->name_span = $8.span; }
     | '(' steps ')' times when as      { AstId chain = parse_chain(p, @2, AST_NIL, $2);
                                          $$ = parse_node(p, AST_GROUP, @$, 3, chain, $4, $5);
                                          parse_at(p, $$)->sym2 = $6.sym;
                                          parse_at(p, $$)->name_span = $6.span; };
as: %empty                              { $$ = (Word){0}; }
     | AS IDENT                         { $$ = $2; };
qname: IDENT                            { $$ = parse_named(p, AST_NAME, @$, $1, 0); }
     | qname '.' IDENT                  { $$ = parse_named(p, AST_FIELD, @$, $3, 1, $1); };
times: %empty                           { $$ = AST_NIL; }
     | '*' postfix                      { $$ = $2; };
when: %empty                            { $$ = AST_NIL; }
     | WHEN or                          { $$ = $2; };

expr: or | piped;
piped: or ARROW piped_steps             { $$ = parse_chain(p, @$, $1, $3); };
piped_steps: step                       { $$ = (NodeList){0}; parse_push(p, &$$, $1); }
     | piped_steps ARROW step           { $$ = $1; parse_push(p, &$$, $3); };
or: and
     | or OR and                        { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_OR; };
and: not
     | and AND not                      { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_AND; };
not: cmp
     | NOT not                          { $$ = parse_node(p, AST_UNARY, @$, 1, $2);
                                          parse_at(p, $$)->op = UN_NOT; };
cmp: add
     | add EQ add                       { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_EQ; }
     | add NE add                       { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_NE; }
     | add '<' add                      { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_LT; }
     | add '>' add                      { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_GT; }
     | add LE add                       { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_LE; }
     | add GE add                       { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_GE; };
add: mul
     | add '+' mul                      { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_ADD; }
     | add '-' mul                      { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_SUB; };
mul: unary
     | mul '*' unary                    { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_MUL; }
     | mul '/' unary                    { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_DIV; }
     | mul IDIV unary                   { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_IDIV; }
     | mul '%' unary                    { $$ = parse_node(p, AST_BINARY, @$, 2, $1, $3);
                                          parse_at(p, $$)->op = BIN_MOD; };
unary: postfix
     | '-' unary                        { $$ = parse_node(p, AST_UNARY, @$, 1, $2);
                                          parse_at(p, $$)->op = UN_NEG; };
postfix: primary
     | postfix '.' IDENT                { $$ = parse_named(p, AST_FIELD, @$, $3, 1, $1); }
     | postfix '[' expr ']'             { $$ = parse_node(p, AST_INDEX, @$, 2, $1, $3); }
     | postfix '(' args ')'             { $$ = parse_node(p, AST_CALL, @$, 2, $1,
                                                          parse_list(p, @3, $3)); };
primary: INT | REAL | SIZE
     | STRING                           { $$ = parse_named(p, AST_STRING, @$, $1, 0); }
     | TRUE                             { $$ = parse_node(p, AST_BOOL, @$, 0);
                                          parse_at(p, $$)->i = 1; }
     | FALSE                            { $$ = parse_node(p, AST_BOOL, @$, 0); }
     | IDENT                            { $$ = parse_named(p, AST_NAME, @$, $1, 0); }
     | IN                               { $$ = parse_node(p, AST_IN, @$, 0); }
     | PREV                             { $$ = parse_node(p, AST_PREV, @$, 0); }
     | STAGE                            { $$ = parse_node(p, AST_STAGECTX, @$, 0); }
     | BLOCK                            { $$ = parse_node(p, AST_BLOCKCTX, @$, 0); }
     | '(' expr ')'                     { $$ = $2; }
     | '[' list ']'                     { $$ = parse_list(p, @$, $2);
                                          parse_at(p, $$)->kind = AST_LISTLIT; }
     | if_expr;
if_expr: IF expr '{' expr '}' ELSE '{' expr '}'
                                        { $$ = parse_node(p, AST_IF, @$, 3, $2, $4, $8); }
     | IF expr '{' expr '}' ELSE if_expr
                                        { $$ = parse_node(p, AST_IF, @$, 3, $2, $4, $7); };
args: %empty                            { $$ = (NodeList){0}; }
     | args1 comma;
args1: arg                              { $$ = (NodeList){0}; parse_push(p, &$$, $1); }
     | args1 ',' arg                    { $$ = $1; parse_push(p, &$$, $3); };
arg: expr                               { $$ = parse_node(p, AST_ARG, @$, 1, $1); }
     | IDENT '=' expr                   { $$ = parse_named(p, AST_ARG, @$, $1, 1, $3); };
list: %empty                            { $$ = (NodeList){0}; }
     | list1 comma;
list1: expr                             { $$ = (NodeList){0}; parse_push(p, &$$, $1); }
     | list1 ',' expr                   { $$ = $1; parse_push(p, &$$, $3); };
%%
/* "expected A or B, found C"; long lists of what could stand here help nobody. */
static int yyreport_syntax_error(const yypcontext_t *ctx, Parse *p)
{
    enum { MOST = 6 };
    yysymbol_kind_t expected[MOST];
    yysymbol_kind_t found = yypcontext_token(ctx);
    int n = yypcontext_expected_tokens(ctx, expected, MOST);
    if (n < 0)
        return n;
    Buf text = {0};
    for (int i = 0; i < n; i++)
        buf_printf(&text, "%s%s", i == 0 ? "expected " : i + 1 == n ? " or " : ", ",
                   yysymbol_name(expected[i]));
    const Span at = *yypcontext_location(ctx);
    buf_add(&text, n > 0 ? ", found " : "unexpected ");
    if (found == YYSYMBOL_IDENT && at.hi - at.lo <= 40)
        buf_printf(&text, "'%.*s'", (int)(at.hi - at.lo), p->ast->text + at.lo);
    else
        buf_add(&text, found == YYSYMBOL_YYEMPTY ? "nothing" : yysymbol_name(found));
    parse_error(p, at, buf_ok(&text) ? text.at : "syntax error");
    buf_free(&text);
    return 0;
}
