/* Small sources, the graphs they stand for, and what is wrong with others. */
#ifndef CNNC_TEST_ELAB_CASES_H
#define CNNC_TEST_ELAB_CASES_H

/* Declarations, items of a net after `input x[3, 8, 8]` (and before a head of nothing, when there
 * is none), and the nodes after %1: id, operator, name, shape. */
typedef struct Build {
    const char *decls, *items, *want;
} Build;

/* clang-format off: one node a line */
static const Build chains[] = {
    {"", "stage s { conv(4, k=3) * 3 }",
     "%2 conv(%1) c=4 k=3x3 s.0.conv 4x8x8\n"
     "%3 conv(%2) c=4 k=3x3 s.1.conv 4x8x8\n"
     "%4 conv(%3) c=4 k=3x3 s.2.conv 4x8x8\n"},
    {"", "stage s { (conv(4, k=1) -> relu) * 2 }",
     "%2 conv(%1) c=4 k=1x1 s.0.conv 4x8x8\n"
     "%3 relu(%2) s.1.relu 4x8x8\n"
     "%4 conv(%3) c=4 k=1x1 s.2.conv 4x8x8\n"
     "%5 relu(%4) s.3.relu 4x8x8\n"},
    {"", "stage s { relu * 0 -> ((tanh * 2) * 1 -> relu) * 1 }",
     "%2 tanh(%1) s.0.tanh 3x8x8\n"
     "%3 tanh(%2) s.1.tanh 3x8x8\n"
     "%4 relu(%3) s.2.relu 3x8x8\n"},
    {"", "stage s { relu when false -> tanh when x.c == 3 -> relu * 2 when x.h > 8 }",
     "%2 tanh(%1) s.0.tanh 3x8x8\n"},
    {"", "stage s { conv(4, 1) as a -> relu as b -> add(a) -> concat(a, b, x) }",
     "%2 conv(%1) c=4 k=1x1 s.0.conv 4x8x8\n"
     "%3 relu(%2) s.1.relu 4x8x8\n"
     "%4 add(%3, %2) s.2.add 4x8x8\n"
     "%5 concat(%4, %2, %3, %1) s.3.concat 15x8x8\n"},
    {"", "stage s { relu -> add(prev) -> mul(prev) }",
     "%2 relu(%1) s.0.relu 3x8x8\n"
     "%3 add(%2, %1) s.1.add 3x8x8\n"
     "%4 mul(%3, %2) s.2.mul 3x8x8\n"},
    {"",
     "stage a(stride=2) { conv(4, 3, 2) } stage b { relu -> add(a) } stage c(from=a) { add(b) }",
     "%2 conv(%1) c=4 k=3x3 stride=2x2 a.0.conv 4x4x4\n"
     "%3 relu(%2) b.0.relu 4x4x4\n"
     "%4 add(%3, %2) b.1.add 4x4x4\n"
     "%5 add(%2, %4) c.0.add 4x4x4\n"},
    {"", "stage s(up=2) { upsample(2) } stage t(stride=2x1) { maxpool(2x1) } head h = gap",
     "%2 upsample(%1) by=2x2 s.0.upsample 3x16x16\n"
     "%3 maxpool(%2) k=2x1 t.0.maxpool 3x8x16\n"
     "%4 gap(%3) h.gap 3x1x1\n"},
    {"", "if x.c == 3 { stage s { relu } } else { stage t { tanh } }",
     "%2 relu(%1) s.0.relu 3x8x8\n"},
    {"", "if x.c < 3 { stage s { relu } } else if x.h == 8 { stage t { tanh } } else { }",
     "%2 tanh(%1) t.0.tanh 3x8x8\n"},
    {"", "if not (x.w == 8) { stage s { relu } }", ""},
    {"", "head a = gap -> flatten -> dense(2) head b = conv(4, 1) -> relu -> conv(5, 1)",
     "%2 gap(%1) a.gap 3x1x1\n"
     "%3 flatten(%2) a.flatten 3\n"
     "%4 dense(%3) c=2 a.dense 2\n"
     "%5 conv(%1) c=4 k=1x1 b.conv1 4x8x8\n"
     "%6 relu(%5) b.relu 4x8x8\n"
     "%7 conv(%6) c=5 k=1x1 b.conv2 5x8x8\n"},
};

static const Build blocks[] = {
    {"block b(c: int = 4, k: size = 3, wide: int = c * 2) = conv(c, k) -> conv(wide, 1)",
     "stage s { b -> b(6) -> b(2, wide=3, k=1x3) }",
     "%2 conv(%1) c=4 k=3x3 s.0.conv1 4x8x8\n"
     "%3 conv(%2) c=8 k=1x1 s.0.conv2 8x8x8\n"
     "%4 conv(%3) c=6 k=3x3 s.1.conv1 6x8x8\n"
     "%5 conv(%4) c=12 k=1x1 s.1.conv2 12x8x8\n"
     "%6 conv(%5) c=2 k=1x3 s.2.conv1 2x8x8\n"
     "%7 conv(%6) c=3 k=1x1 s.2.conv2 3x8x8\n"},
    {"block b(c: int) = conv(c, 3, stride=stage.stride)", "stage s(stride=2) { b(4) * 2 }",
     "%2 conv(%1) c=4 k=3x3 stride=2x2 s.0.conv 4x4x4\n"
     "%3 conv(%2) c=4 k=3x3 s.1.conv 4x4x4\n"},
    {"block b { a = in -> conv(3, 1) let sum = in.c + a.c out = add(a, in) -> conv(sum, 1) }",
     "stage s { b }",
     "%2 conv(%1) c=3 k=1x1 s.0.conv1 3x8x8\n"
     "%3 add(%2, %1) s.0.add 3x8x8\n"
     "%4 conv(%3) c=6 k=1x1 s.0.conv2 6x8x8\n"},
    {"block b(act: layer = relu) = tanh -> act\nblock two(f: layer) = f -> f",
     "stage s { b -> b(leaky(0.25)) -> two(b(sigmoid)) -> two(two(relu)) -> two(identity) }",
     "%2 tanh(%1) s.0.tanh 3x8x8\n"
     "%3 relu(%2) s.0.relu 3x8x8\n"
     "%4 tanh(%3) s.1.tanh 3x8x8\n"
     "%5 leaky(%4) slope=0.25 s.1.leaky 3x8x8\n"
     "%6 tanh(%5) s.2.tanh1 3x8x8\n"
     "%7 sigmoid(%6) s.2.sigmoid1 3x8x8\n"
     "%8 tanh(%7) s.2.tanh2 3x8x8\n"
     "%9 sigmoid(%8) s.2.sigmoid2 3x8x8\n"
     "%10 relu(%9) s.3.relu1 3x8x8\n"
     "%11 relu(%10) s.3.relu2 3x8x8\n"
     "%12 relu(%11) s.3.relu3 3x8x8\n"
     "%13 relu(%12) s.3.relu4 3x8x8\n"},
    {"block b = relu -> drop_path(0.5 * block.i / (block.n - 1))", "stage s { b * 3 }",
     "%2 relu(%1) s.0.relu 3x8x8\n"
     "%3 drop_path(%2) s.0.drop_path 3x8x8\n"
     "%4 relu(%3) s.1.relu 3x8x8\n"
     "%5 drop_path(%4) p=0.25 s.1.drop_path 3x8x8\n"
     "%6 relu(%5) s.2.relu 3x8x8\n"
     "%7 drop_path(%6) p=0.5 s.2.drop_path 3x8x8\n"},
    {"let w = 5",
     "let w2 = w * 2 block b = conv(w2, 1) let f(i: int) = i + w2 stage s { b -> "
     "conv(f(1), 1) }",
     "%2 conv(%1) c=10 k=1x1 s.0.conv 10x8x8\n"
     "%3 conv(%2) c=11 k=1x1 s.1.conv 11x8x8\n"},
    {"block b = maxpool(3, 2, pad=same_upper) -> avgpool(2, pad=valid) -> zeropad(1, 2)"
     " -> conv(2, 3, pad=[1, 0, 0, 1], bias=false)",
     "stage s { b }",
     "%2 maxpool(%1) k=3x3 stride=2x2 pad=same_upper s.0.maxpool 3x4x4\n"
     "%3 avgpool(%2) k=2x2 s.0.avgpool 3x2x2\n"
     "%4 zeropad(%3) top=1 bottom=2 s.0.zeropad 3x5x2\n"
     "%5 conv(%4) c=2 k=3x3 pad=1,0,0,1 bias=false s.0.conv 2x4x1\n"},
};
/* clang-format on */

/* Expressions where an int is wanted: the channels of a convolution. */
static const struct {
    const char *expr;
    int64_t value;
} numbers[] = {
    {"7 // 2", 3},
    {"0 - 7 // 2 + 9", 6},
    {"-7 // 2 + 9", 5},
    {"-7 % 3", 2},
    {"9 + 7 % -3", 7},
    {"2 + 3 * 4", 14},
    {"int(-7.5 // 2) + 9", 5},
    {"int(-7.5 % 2 * 10)", 5},
    {"if 2 <= 2 and 2 >= 2 and not (2 < 2) { 4 } else { 5 }", 4},
    {"(2 + 3) * 4", 20},
    {"max(3, 8, 5)", 8},
    {"min(3, 8, 5)", 3},
    {"abs(-4)", 4},
    {"int(7 / 2)", 3},
    {"int(-7 / 2) + 9", 6},
    {"ceil(2.1)", 3},
    {"floor(2.9)", 2},
    {"round(2.5)", 3},
    {"round(-2.5) + 9", 6},
    {"int(sqrt(50))", 7},
    {"int(max(2, 3.5) * 2)", 7},
    {"len([1, 2] + [3])", 3},
    {"([4, 5] + [6])[2]", 6},
    {"if 1 < 2 { 4 } else { 5 }", 4},
    {"if 2 <= 1 or 3 >= 4 { 4 } else if 1 != 1 { 5 } else { 6 }", 6},
    {"if not false and 2 > 1 { 4 } else { 5 }", 4},
    {"if true or 1 // 0 == 1 { 4 } else { 5 }", 4},
    {"if false and 1 // 0 == 1 { 4 } else { 5 }", 5},
    {"if 3x1 == 3x1 and \"a\" != \"b\" { 4 } else { 5 }", 4},
    {"if 1 == 1.0 { 4 } else { 5 }", 4},
    {"x.c + x.h * 10 + x.w * 100", 883},
    {"x.rf", 1},
    {"if 9007199254740993 > 9007199254740992 { 4 } else { 5 }", 4},
    {"max(9007199254740992, 9007199254740993) - 9007199254740990", 3},
};

/* What is wrong: line:column, code, message. Line 1 is `decls`, the items stand on line 3. */
static const Build wrong[] = {
    {"", "stage s { conv(y, 1) }", "3:16 E0201 'y' is not defined\n"},
    {"let a = 1 let a = 2", "stage s { relu }",
     "1:15 E0202 'a' hides another declaration of that name\n"},
    {"", "stage s { conv(4, 1).d }",
     "3:21 E0101 expected 'when', 'as', '->', '}' or '*', found '.'\n"},
    {"", "stage s { conv(x.d, 1) }", "3:18 E0206 a value of type tensor has no field 'd'\n"},
    {"", "stage s { conv(true, 1) }", "3:16 E0301 expected int, found bool\n"},
    {"", "stage s { conv(4, 1, depth=2) }", "3:22 E0302 'conv' has no parameter 'depth'\n"},
    {"", "stage s { conv(4) }", "3:11 E0303 'conv' needs a value for 'k'\n"},
    {"", "stage s { conv(4, 1, c=5) }", "3:22 E0304 parameter 'c' is given twice\n"},
    {"", "stage s { relu(1) }",
     "3:16 E0305 'relu' takes at most 0 positional arguments, found 1\n"},
    {"", "stage s { relu * -1 }", "3:18 E0101 unexpected '-'\n"},
    {"", "stage s { conv(4, 1, groups=2) }",
     "3:11 E0307 groups 2 must divide 3 input and 4 output channels\n"},
    {"let z = 0", "stage s { conv(4 // z, 1) }", "3:16 E0308 division by zero\n"},
    {"let big = 9223372036854775807", "stage s { conv(big + 1, 1) }",
     "3:16 E0309 integer overflow in '+'\n"},
    {"let l = [1]", "stage s { conv(l[1], 1) }", "3:18 E0310 index 1 is outside a list of 1\n"},
    {"block b = b", "stage s { b }", "1:11 E0312 'b' calls itself\n"},
    {"let f(i: int) = g(i)\nlet g(i: int) = f(i)", "stage s { conv(f(1), 1) }",
     "2:17 E0312 'f' calls itself\n"},
    {"", "stage s { conv([[4, 5], [6]][0][1], 1) }",
     "3:17 E0306 lists of lists do not exist\n3:25 E0306 lists of lists do not exist\n"},
    {"let a = 1", "stage s { a }",
     "3:11 E0313 'a' is a value of type int, not a layer: it cannot be applied\n"},
    {"", "stage s { conv(block.i, 1) }",
     "3:16 E0314 'block.i' has no meaning here: it is known inside blocks\n"},
    {"block b = conv(1 + block.i, 1)", "stage s { b * 2 }",
     "1:16 E0314 'block.i or block.n' has no meaning here: the position of a block may not decide "
     "the structure of the network\n"},
    {"block b { a = in -> relu }", "stage s { b }", "1:7 E0317 block 'b' never sets out\n"},
    {"", "stage s { relu } require x.c == 4, \"four\"", "3:26 E0401 requirement not met: four\n"},
    {"block b { require in.c == 4, \"four\" out = in }", "stage s { b }",
     "1:11 E0401 requirement not met: four\n"},
    {"", "stage s { conv(0, 1) }", "3:11 E0402 conv: c must be at least 1, got 0\n"},
    {"", "stage s { flatten -> conv(1, 1) }",
     "3:22 E0403 conv: inputs do not fit together: needs a feature map, got a vector of 192 "
     "values\n"},
    {"", "stage s { conv(4, 1) -> add(x) }",
     "3:25 E0403 add: inputs do not fit together: operands differ: 4x8x8 and 3x8x8\n"},
    {"", "stage s { maxpool(9) }", "3:11 E0404 maxpool: window 9x9 does not fit into a 8x8 map\n"},
    {"", "stage s { relu * 5000000 }", "3:11 E0405 the network has more than 100000 operators\n"},
    {"", "stage s(stride=2) { conv(4, 3) }",
     "3:7 E0412 stage 's' declares stride=2 but its jump goes from 1 to 1\n"},
    {"", "stage s(up=2) { relu }",
     "3:7 E0412 stage 's' declares up=2 but its jump goes from 1 to 1\n"},
    {"", "stage s { conv(y, 1) } stage t { add(s) } head h = conv(z, 1)",
     "3:16 E0201 'y' is not defined\n3:57 E0201 'z' is not defined\n"},
    {"block b = conv(4, 1) -> bn", "stage s { @name(\"a\") b }",
     "3:11 E0316 annotation '@name': names one operator with parameters; there are 2 here\n"},
    {"", "input z[3, 4, 4](resize=0)", "3:25 E0306 resize must be between 1 and 65536\n"},
    {"", "input z[3, 4, 4](mean=[0.5], std=[1])",
     "3:23 E0306 1 values for 3 channels (at most 4)\n"},
    {"", "input z[3, 4, 4](mean=[0, 0, 0])", "3:17 E0306 mean and std belong together\n"},
    {"", "let a = relu(x)",
     "3:9 E0314 'relu' has no meaning here: layers are applied in stages and heads\n"},
    {"let zero = 0", "stage s(stride=zero) { relu }", "3:16 E0306 stride must be at least 1\n"},
};

/* Parameters given to nets of one text, and all nodes or errors that result. */
static const char sized[] =
    "let base = 4\n"
    "net n(c: int = base * 2, k: size = 3x1, deep: bool = false, res: int = 16, mode: str = "
    "\"a\",\n"
    "      slope: real = 0.5) {\n"
    "  input x[3, res, res]\n"
    "  stage s { conv(c, k) -> leaky(slope) when deep -> tanh when mode == \"b\" }\n"
    "  head h = gap\n"
    "}\n"
    "net sq(res: int = 5) { input x[3, res, res] head h = conv(res, 1) }\n"
    "net wide(c: int = 20) = n(c, deep=true)\n"
    "net wider = wide(c=40)\n"
    "net open(c: int) = n(c)\n";

typedef struct WithParams {
    const char *net;
    const char *params[6];
    int input[3];
    const char *want;
} WithParams;

/* clang-format off: one node a line */
#define SIZED(H, W) "%1 input() c=3 h=" #H " w=" #W " x 3x" #H "x" #W "\n"
static const WithParams parameters[] = {
    {"n",
     {NULL},
     {0},
     SIZED(16, 16) "%2 conv(%1) c=8 k=3x1 s.0.conv 8x16x16\n%3 gap(%2) h.gap 8x1x1\n"},
    {"n",
     {"c=9", "deep=true", "k=5", "mode=b", "slope=2"},
     {0},
     SIZED(16, 16) "%2 conv(%1) c=9 k=5x5 s.0.conv 9x16x16\n"
                   "%3 leaky(%2) slope=2 s.1.leaky 9x16x16\n%4 tanh(%3) s.2.tanh 9x16x16\n"
                   "%5 gap(%4) h.gap 9x1x1\n"},
    {"wider",
     {NULL},
     {0},
     SIZED(16, 16) "%2 conv(%1) c=40 k=3x1 s.0.conv 40x16x16\n"
                   "%3 leaky(%2) slope=0.5 s.1.leaky 40x16x16\n%4 gap(%3) h.gap 40x1x1\n"},
    {"wide",
     {"c=9"},
     {0},
     SIZED(16, 16) "%2 conv(%1) c=9 k=3x1 s.0.conv 9x16x16\n"
                   "%3 leaky(%2) slope=0.5 s.1.leaky 9x16x16\n%4 gap(%3) h.gap 9x1x1\n"},
    {"n",
     {"res=10"},
     {0},
     SIZED(10, 10) "%2 conv(%1) c=8 k=3x1 s.0.conv 8x10x10\n%3 gap(%2) h.gap 8x1x1\n"},
    {"n",
     {NULL},
     {1, 6, 7},
     "%1 input() c=1 h=6 w=7 x 1x6x7\n%2 conv(%1) c=8 k=3x1 s.0.conv 8x6x7\n"
     "%3 gap(%2) h.gap 8x1x1\n"},
    {"sq",
     {NULL},
     {1, 6, 7},
     "%1 input() c=1 h=6 w=7 x 1x6x7\n%2 conv(%1) c=6 k=1x1 h.conv 6x6x7\n"},
    {"n", {"d=1"}, {0}, "0:0 E0302 'n' has no parameter 'd'\n"},
    {"n", {"c=1.5"}, {0}, "1:9 E0301 expected int, found real\n"},
    {"n", {"c"}, {0}, "0:0 E0306 -p takes name=value, not 'c'\n"},
    {"n", {"c=1 let d = 2"}, {0}, "0:0 E0306 -p takes one value, not '1 let d = 2'\n"},
    {"open", {NULL}, {0}, "11:5 E0303 'open' needs a value for 'c'\n"},
    {"nn", {NULL}, {0}, "0:0 E0205 no net called 'nn'\n"},
};

/* Three files: main.cnn, a.cnn and b.cnn. */
#define NET(STEPS) "net n { input x[3, 8, 8] stage s { " STEPS " } head h = identity }\n"
#define A "import \"b.cnn\" as b\nlet c = b.c + 1\nblock t = tanh\n"
static const struct {
    const char *text, *a, *b, *want;
} imports[] = {
    {"import \"a.cnn\"\n" NET("conv(c, 1) -> t"), A, "let c = 4",
     "%2 conv(%1) c=5 k=1x1 s.0.conv 5x8x8\n%3 tanh(%2) s.1.tanh 5x8x8\n"},
    {"import \"a.cnn\" as m\nimport \"b.cnn\" as k\n" NET("m.t -> conv(m.c + k.c, 1)"), A,
     "let c = 4", "%2 tanh(%1) s.0.tanh 3x8x8\n%3 conv(%2) c=9 k=1x1 s.1.conv 9x8x8\n"},
    {"import std.blocks as b\n" NET("b.conv_bn(4)"), "", "",
     "%2 conv(%1) c=4 k=3x3 bias=false s.0.conv 4x8x8\n%3 bn(%2) s.0.bn 4x8x8\n"},
    {"import \"a.cnn\" as m\nnet z = m.n\n", NET("relu"), "", "%2 relu(%1) s.0.relu 3x8x8\n"},
    {"import \"a.cnn\"\n" NET("relu"), "import \"b.cnn\"", "import \"a.cnn\"",
     "1:1 E0204 import of '/mem/a.cnn' is a cycle\n"},
    {"import \"c.cnn\"\n" NET("relu"), "", "",
     "1:1 E0203 cannot import /mem/c.cnn: No such file or directory\n"},
    /* what was lost with q is not undefined, in main.cnn or b.cnn */
    {"import \"a.cnn\"\n" NET("conv(q, 1)"), "let q = (", "", "1:9 E0101 unexpected end of file\n"},
    {"import \"b.cnn\"\n" NET("conv(r, 1)"), "let q = (", "import \"a.cnn\"\nlet r = q",
     "1:9 E0101 unexpected end of file\n"},
    {"net n { head h = gap }", "", "", "1:14 E0318 net 'n' has no input above this line\n"},
    {"net n { input x[3, 8, 8] stage s { relu } }", "", "", "1:5 E0318 net 'n' has no head\n"},
    {"import \"a.cnn\" as m\n" NET("m.u"), A, "let c = 4",
     "2:38 E0206 module 'm' has no field 'u'\n"},
    {"import \"a.cnn\"\nimport \"b.cnn\"\n" NET("conv(c, 1)"), "let c = 1", "let c = 4",
     "2:1 E0202 'c' hides another declaration of that name\n"},
};
/* clang-format on */
#endif
