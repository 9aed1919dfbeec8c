/* Tokens, productions of grammar/cnn.y and errors, with the trees that must come of them. */
#ifndef CNNC_TEST_SYNTAX_CASES_H
#define CNNC_TEST_SYNTAX_CASES_H
#include "syntax/parse.h"
#include "cnn_parse.h"

static const struct {
    const char *text;
    int kind;
} tokens[] = {{"block", CNN_BLOCK},
              {"net", CNN_NET},
              {"stage", CNN_STAGE},
              {"head", CNN_HEAD},
              {"input", CNN_INPUT},
              {"let", CNN_LET},
              {"if", CNN_IF},
              {"else", CNN_ELSE},
              {"when", CNN_WHEN},
              {"import", CNN_IMPORT},
              {"as", CNN_AS},
              {"names", CNN_NAMES},
              {"ignore", CNN_IGNORE},
              {"train", CNN_TRAIN},
              {"refine", CNN_REFINE},
              {"require", CNN_REQUIRE},
              {"in", CNN_IN},
              {"out", CNN_OUT},
              {"prev", CNN_PREV},
              {"true", CNN_TRUE},
              {"false", CNN_FALSE},
              {"and", CNN_AND},
              {"or", CNN_OR},
              {"not", CNN_NOT},
              {"->", CNN_ARROW},
              {"//", CNN_IDIV},
              {"==", CNN_EQ},
              {"!=", CNN_NE},
              {"<=", CNN_LE},
              {">=", CNN_GE},
              {"3x1", CNN_SIZE},
              {"12", CNN_INT},
              {"1.5", CNN_REAL},
              {"1e3", CNN_REAL},
              {"1E3", CNN_REAL},
              {"2.5E-3", CNN_REAL},
              {"\"a\\\"b\"", CNN_STRING},
              {"\"\"", CNN_STRING},
              {"inner", CNN_IDENT},
              {"_x9", CNN_IDENT},
              {"x", CNN_IDENT},
              {"# a comment", TOKEN_COMMENT}};

/* A text, and its tree as show() writes it. */
typedef struct Row {
    const char *text, *want;
} Row;

static const Row expressions[] = {
    {"1 + 2 * 3", "(+ 1 (* 2 3))"},
    {"(1 + 2) * 3", "(* (+ 1 2) 3)"},
    {"1 - 2 - 3", "(- (- 1 2) 3)"},
    {"8 // 2 / 4 % 3", "(% (/ (// 8 2) 4) 3)"},
    {"-a * -2", "(* (- a) (- 2))"},
    {"--a", "(- (- a))"},
    {"not a == b", "(not (== a b))"},
    {"not not true", "(not (not true))"},
    {"a or b and not c", "(or a (and b (not c)))"},
    {"a or b or c", "(or (or a b) c)"},
    {"a and b and c", "(and (and a b) c)"},
    {"a + 1 < b", "(< (+ a 1) b)"},
    {"a > b", "(> a b)"},
    {"a <= b", "(<= a b)"},
    {"a >= b", "(>= a b)"},
    {"a != 3x1", "(!= a 3x1)"},
    {"1.5 + 2e3", "(+ 1.5 2000)"},
    {"\"a\\n\\t\\\"\\\\\"", "'a\n\t\"\\'"},
    {"false", "false"},
    {"in.c", "(field \"c\" (in))"},
    {"prev", "(prev)"},
    {"stage.stride", "(field \"stride\" (stage-context))"},
    {"block.i", "(field \"i\" (block-context))"},
    {"a.b[1](2)", "(call (index (field \"b\" a) 1) [2])"},
    {"f()", "(call f [])"},
    {"f(1, k=2,)", "(call f [1 k=2])"},
    {"f(g(1)(2))", "(call f [(call (call g [1]) [2])])"},
    {"[]", "(list-literal)"},
    {"[1, 2,]", "(list-literal 1 2)"},
    {"[[1], []]", "(list-literal (list-literal 1) (list-literal))"},
    {"if a { 1 } else { 2 }", "(if a 1 2)"},
    {"if a { 1 } else if b { 2 } else { 3 }", "(if a 1 (if b 2 3))"},
    {"in -> conv(3) -> relu", "(chain (in) (step args [] conv [3] - -) (step [] relu [] - -))"},
    {"a + b -> f", "(chain (+ a b) (step [] f [] - -))"},
};

static const Row declarations[] = {
    {"import a", "(import \"a\")"},
    {"import a.b.c", "(import \"a.b.c\")"},
    {"import a.b as c", "(import \"a.b\" as \"c\")"},
    {"import \"x/y.cnn\"", "(import \"x/y.cnn\" quoted)"},
    {"import \"x.cnn\" as y", "(import \"x.cnn\" as \"y\" quoted)"},
    {"let a = 1", "(let \"a\" 1)"},
    {"let f() = 1", "(fn \"f\" [] 1)"},
    {"let f(a: int, b: [real] = [],) = a",
     "(fn \"f\" [(param \"a\" (type \"int\") -) (param \"b\" (type \"real\" list) "
     "(list-literal))] a)"},
    {"block b = conv(1)",
     "(block \"b\" short [] [] [(out (chain - (step args [] conv [1] - -)))])"},
    {"block b(c: int) { }", "(block \"b\" [] [(param \"c\" (type \"int\") -)] [])"},
    {"block b { let x = 1 a = in require x, \"t\" out = a }",
     "(block \"b\" [] [] [(let \"x\" 1) (bind \"a\" (in)) (require x 't') (out a)])"},
    {"@a @b(1) block b = f",
     "(block \"b\" short [(annot \"a\" []) (annot \"b\" [1])] [] [(out (chain - (step [] f [] "
     "- -)))])"},
    {"net n { }", "(net \"n\" [] [] [])"},
    {"net n(a: int = 1) { }", "(net \"n\" [] [(param \"a\" (type \"int\") 1)] [])"},
    {"net n = m(1)", "(netalias \"n\" [] [] (call m [1]))"},
    {"@x net n(a: bool) = m", "(netalias \"n\" [(annot \"x\" [])] [(param \"a\" (type "
                              "\"bool\") -)] m)"},
};

static const Row items[] = {
    {"input x[3, 8, 8]", "(input \"x\" [] [3 8 8] [])"},
    {"@a input x[3](k=1)", "(input \"x\" [(annot \"a\" [])] [3] [k=1])"},
    {"stage s { f }", "(stage \"s\" [] [] (chain - (step [] f [] - -)))"},
    {"@a stage s(stride=2) { f -> g }",
     "(stage \"s\" [(annot \"a\" [])] [stride=2] (chain - (step [] f [] - -) (step [] g [] - "
     "-)))"},
    {"head h = f", "(head \"h\" [] [] (chain - (step [] f [] - -)))"},
    {"head h(from=s) = f", "(head \"h\" [] [from=s] (chain - (step [] f [] - -)))"},
    {"let a = 1", "(let \"a\" 1)"},
    {"block b = f", "(block \"b\" short [] [] [(out (chain - (step [] f [] - -)))])"},
    {"require a, \"t\"", "(require a 't')"},
    {"if a { }", "(if-item a [] -)"},
    {"if a { let b = 1 } else { let c = 2 }", "(if-item a [(let \"b\" 1)] [(let \"c\" 2)])"},
    {"if a { } else if b { } else { }", "(if-item a [] [(if-item b [] [])])"},
    {"train { }", "(train)"},
    {"train { a = 1 b = 2 }", "(train (pair \"a\" 1) (pair \"b\" 2))"},
    {"refine { a = [1] }", "(refine (pair \"a\" (list-literal 1)))"},
    {"names t { \"a\" = \"b\" ignore \"c\" }",
     "(names \"t\" (rename \"a\" as \"b\") (ignore \"c\"))"},
    {"names t { }", "(names \"t\")"},
};

static const Row steps[] = {
    {"f", "(step [] f [] - -)"},
    {"f()", "(step args [] f [] - -)"},
    {"a.b.c", "(step [] (field \"c\" (field \"b\" a)) [] - -)"},
    {"a.b(1)", "(step args [] (field \"b\" a) [1] - -)"},
    {"f * 2", "(step [] f [] 2 -)"},
    {"f * w[0]", "(step [] f [] (index w 0) -)"},
    {"f(1) * n when a or b as x", "(step as \"x\" args [] f [1] n (or a b))"},
    {"f when not a", "(step [] f [] - (not a))"},
    {"f as x", "(step as \"x\" [] f [] - -)"},
    {"@a(1) f(2)", "(step args [(annot \"a\" [1])] f [2] - -)"},
    {"(f -> g) * 3 when a as x",
     "(group as \"x\" (chain - (step [] f [] - -) (step [] g [] - -)) 3 a)"},
    {"((f))", "(group (chain - (group (chain - (step [] f [] - -)) - -)) - -)"},
};

static const Row layouts[] = {
    {"", "(file)"},
    {"# only a comment", "(file)"},
    {"let a = 1 let b = 2", "(file (let \"a\" 1) (let \"b\" 2))"},
    {"let a # one\n = # two\r\n1\r\n\tlet b=2#", "(file (let \"a\" 1) (let \"b\" 2))"},
    {"\xEF\xBB\xBFlet a = 1", "(file (let \"a\" 1))"},
    {"let a = \"# no comment\" # let b = 2", "(file (let \"a\" '# no comment'))"},
    {"let a = 1 -2", "(file (let \"a\" (- 1 2)))"},
};

/* What is said, and what is still in the tree. */
static const struct {
    const char *text, *errors, *tree;
} wrong[] = {
    {"let a = 1 $", "1:11 E0103 stray character '$'\n", "(file (let \"a\" 1))"},
    {"let a = 1;\nlet b = 2;", "1:10 E0103 stray character ';'\n2:10 E0103 stray character ';'\n",
     "(file (let \"a\" 1) (let \"b\" 2))"},
    {"# \xC3\xA4\n\t\"\xC3\xA4\"\xE2\x82\xAC",
     "2:2 E0101 expected end of file, 'block', 'net', 'let', 'import' or '@', found "
     "string\n2:5 E0103 stray character '\xE2\x82\xAC'\n",
     "(file)"},
    {"let a = 1\x01", "1:10 E0103 stray character 0x01\n", "(file (let \"a\" 1))"},
    {"let a = 1\xFF", "1:10 E0103 stray character 0xff\n", "(file (let \"a\" 1))"},
    {"let a = 12ab", "1:9 E0102 bad number '12ab'\n", "(file (let \"a\" (poison)))"},
    {"let a = 1x2x3", "1:9 E0102 bad number '1x2x3'\n", "(file (let \"a\" (poison)))"},
    {"let a = 9223372036854775807", "", "(file (let \"a\" 9223372036854775807))"},
    {"let a = 9223372036854775808", "1:9 E0106 number '9223372036854775808' is too large\n",
     "(file (let \"a\" (poison)))"},
    {"let a = 1e999", "1:9 E0106 number '1e999' is too large\n", "(file (let \"a\" (poison)))"},
    {"let a = 1x99999999999999999999", "1:9 E0106 number '1x99999999999999999999' is too large\n",
     "(file (let \"a\" (poison)))"},
    {"let a = \"x\nlet b = 2", "1:9 E0104 string is not closed on its line\n",
     "(file (let \"a\" '') (let \"b\" 2))"},
    {"let a = \"\\q\"", "1:10 E0105 unknown escape '\\q' in a string\n", "(file (let \"a\" 'q'))"},
    {"let a = 'x' && b || c",
     "1:9 E0103 stray character '\n1:13 E0103 stray character &&\n"
     "1:18 E0103 stray character ||\n",
     "(file (let \"a\" (or (and 'x' b) c)))"},
    {"@a let b = 1",
     "1:1 E0316 annotation '@a': annotations belong to a stage, head, block, "
     "net, input or step\n",
     "(file (let \"b\" 1))"},
    {"let a = \nlet b = 2\nlet c 3\r\nlet d = 4",
     "2:1 E0101 unexpected 'let'\n3:7 E0101 expected '=' or '(', found integer\n",
     "(file (let \"b\" 2) (let \"d\" 4))"},
    {"net n { input x[3] stage 1 { f } head h = f bogus let a = 1 }\nlet b = 2",
     "1:26 E0101 expected identifier, found integer\n1:45 E0101 unexpected 'bogus'\n",
     "(file (net \"n\" [] [] [(input \"x\" [] [3] []) (poison) (let \"a\" 1)]) (let \"b\" 2))"},
    {"block b { a = in -> }\nlet c = 1", "1:21 E0101 expected identifier, '(' or '@', found '}'\n",
     "(file (poison) (let \"c\" 1))"},
    {"net n { input x[ } \nlet c = 1", "1:18 E0101 unexpected '}'\n",
     "(file (net \"n\" [] [] []) (let \"c\" 1))"},
    {"let a = (1", "1:10 E0101 unexpected end of file\n", "(file)"},
    {"let a = 1 < 2 < 3", "1:15 E0101 unexpected '<'\n", "(file)"},
    {"let when = 1", "1:5 E0101 expected identifier, found 'when'\n", "(file)"},
};
#endif
