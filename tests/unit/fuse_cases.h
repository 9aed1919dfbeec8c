/* Small graphs and the groups that must come of them. */
#ifndef CNNC_TEST_FUSE_CASES_H
#define CNNC_TEST_FUSE_CASES_H

/* Cases: the text of a graph after its input %1 of 16 x 8 x 8, and the groups that must result. */
typedef struct Case {
    const char *name, *nodes, *heads, *groups;
} Case;

#define Y(ID) "out \"y\" %" #ID " from %" #ID " primary\n"
#define ALSO(ID) "out \"also\" %" #ID " from %" #ID "\n"
#define N(ID, TEXT) "%" #ID " = " TEXT " : \"n" #ID "\"\n"
#define AFFINE "t1=mul(a0,a1);add(t1,a2)"

static const Case epilogues[] = {
    {"norm and activation", N(2, "conv(%1) c=8 k=3x3 bias=false") N(3, "bn(%2)") N(4, "relu(%3)"),
     Y(4), "%4 = conv %2(%1) bn %3 : max(a0,0)\n"},
    {"norm after the activation is not folded",
     N(2, "conv(%1) c=8 k=3x3") N(3, "relu(%2)") N(4, "bn(%3)"), Y(4),
     "%4 = conv %2(%1) bn_scale %4 bn_shift %4 : t1=max(a0,0);t2=mul(t1,a1);add(t2,a2)\n"},
    {"two norms: one is folded", N(2, "conv(%1) c=8 k=3x3") N(3, "bn(%2)") N(4, "bn(%3)"), Y(4),
     "%4 = conv %2(%1) bn %3 bn_scale %4 bn_shift %4 : " AFFINE "\n"},
    {"norm of an input", N(2, "bn(%1)"), Y(2),
     "%2 = elem(%1) bn_scale %2 bn_shift %2 : " AFFINE "\n"},
    {"norm of a pooling is not folded", N(2, "maxpool(%1) k=2x2") N(3, "bn(%2)"), Y(3),
     "%3 = maxpool %2(%1) bn_scale %3 bn_shift %3 : " AFFINE "\n"},
    {"depthwise", N(2, "conv(%1) c=16 k=3x3 groups=16") N(3, "bn(%2)") N(4, "relu6(%3)"), Y(4),
     "%4 = conv %2(%1) bn %3 : t1=max(a0,0);min(t1,6)\n"},
    {"transposed and dense",
     N(2, "convt(%1) c=8 k=2x2 stride=2x2") N(3, "bn(%2)") N(4, "gap(%3)") N(5, "dense(%4) c=4")
         N(6, "bn(%5)") N(7, "tanh(%6)"),
     Y(7), "%3 = convt %2(%1) bn %3\n%4 = gap %4(%3)\n%7 = dense %5(%4) bn %6 : tanh(a0)\n"},
    {"layer norm is its own affine", N(2, "ln(%1)") N(3, "relu(%2)"), Y(3),
     "%3 = ln %2(%1) ln_weight %2 ln_bias %2 : t1=mul(a0,a1);t2=add(t1,a2);max(t2,0)\n"},
    {"layer scale", N(2, "dense(%1) c=16") N(3, "layer_scale(%2)") N(4, "add(%3, %1)"), Y(4),
     "%4 = dense %2(%1) gamma %3 map %1 : t1=mul(a0,a1);add(t1,a2)\n"},
    {"softmax and lrn end groups of their own",
     N(2, "conv(%1) c=8 k=1x1") N(3, "lrn(%2) size=3") N(4, "softmax(%3)") N(5, "scale(%4) by=2"),
     Y(5), "%2 = conv %2(%1)\n%3 = lrn %3(%2)\n%5 = softmax %4(%3) : mul(a0,2)\n"},
    {"moves take no epilogue",
     N(2, "upsample(%1) by=2x2") N(3, "relu(%2)") N(4, "concat(%3, %2)") N(5, "tanh(%4)"), Y(5),
     "%2 = upsample %2(%1)\n%3 = elem(%2) : max(a0,0)\n%4 = concat %4(%3)\n"
     "%5 = elem(%4) : tanh(a0)\n"},
    {"chain of activations", N(2, "relu(%1)") N(3, "tanh(%2)") N(4, "relu6(%3)"), Y(4),
     "%4 = elem(%1) : t1=max(a0,0);t2=tanh(t1);t3=max(t2,0);min(t3,6)\n"},
};

static const Case uses[] = {
    {"read twice: stored", N(2, "conv(%1) c=16 k=3x3") N(3, "relu(%2)") N(4, "add(%3, %2)"), Y(4),
     "%2 = conv %2(%1)\n%4 = elem(%2) : t1=max(a0,0);add(t1,a0)\n"},
    {"read by a norm and another: not folded",
     N(2, "conv(%1) c=8 k=3x3") N(3, "bn(%2)") N(4, "concat(%3, %2)"), Y(4),
     "%2 = conv %2(%1)\n%3 = elem(%2) bn_scale %3 bn_shift %3 : " AFFINE "\n"
     "%4 = concat %4(%3)\n"},
    {"a head on the way", N(2, "conv(%1) c=8 k=3x3") N(3, "bn(%2)") N(4, "relu(%3)"), ALSO(3) Y(4),
     "%3 = conv %2(%1) bn %3\n%4 = elem(%3) : max(a0,0)\n"},
    {"a head at the convolution", N(2, "conv(%1) c=8 k=3x3") N(3, "bn(%2)"), ALSO(2) Y(3),
     "%2 = conv %2(%1)\n%3 = elem(%2) bn_scale %3 bn_shift %3 : " AFFINE "\n"},
    {"a head through a dropout", N(2, "conv(%1) c=8 k=3x3") N(3, "dropout(%2)") N(4, "relu(%2)"),
     ALSO(3) Y(4), "%2 = conv %2(%1)\n%4 = elem(%2) : max(a0,0)\n"},
    {"what no head needs", N(2, "conv(%1) c=8 k=3x3") N(3, "relu(%2)") N(4, "tanh(%2)"), Y(3),
     "%3 = conv %2(%1) : max(a0,0)\n"},
    {"twice the same operand", N(2, "conv(%1) c=8 k=3x3") N(3, "add(%2, %2)"), Y(3),
     "%2 = conv %2(%1)\n%3 = elem(%2) : add(a0,a0)\n"},
    {"identities in between",
     N(2, "conv(%1) c=8 k=3x3") N(3, "dropout(%2)") N(4, "drop_path(%3) p=0.5")
         N(5, "slice(%4) from=0 to=8") N(6, "upsample(%5) by=1x1") N(7, "space_to_depth(%6) by=1")
             N(8, "zeropad(%7)") N(9, "crop(%8)") N(10, "concat(%9)")
                 N(11, "adaptive_avgpool(%10) k=8x8") N(12, "relu(%11)"),
     Y(12), "%12 = conv %2(%1) : max(a0,0)\n"},
    {"a shift is no identity", N(2, "zeropad(%1) top=1") N(3, "crop(%2) bottom=1"), Y(3),
     "%2 = zeropad %2(%1)\n%3 = crop %3(%2)\n"},
    {"flattening a vector is nothing, a map a view",
     N(2, "gap(%1)") N(3, "flatten(%2)") N(4, "dense(%3) c=4") N(5, "flatten(%1)")
         N(6, "dense(%5) c=4") N(7, "add(%4, %6)"),
     Y(7), "%2 = gap %2(%1)\n%4 = dense %4(%2)\n%7 = dense %6(%5) map %4 : add(a0,a1)\n"},
};

/* Ten values that are stored. */
#define TEN                                                                                        \
    "%2 = gap(%1) : \"n2\"\n"                                                                      \
    "%3 = scale(%1) by=2.0 : \"n3\"\n"                                                             \
    "%4 = scale(%1) by=3.0 : \"n4\"\n"                                                             \
    "%5 = scale(%1) by=4.0 : \"n5\"\n"                                                             \
    "%6 = scale(%1) by=5.0 : \"n6\"\n"                                                             \
    "%7 = scale(%1) by=6.0 : \"n7\"\n"                                                             \
    "%8 = scale(%1) by=7.0 : \"n8\"\n"                                                             \
    "%9 = scale(%1) by=8.0 : \"n9\"\n"                                                             \
    "%10 = scale(%1) by=9.0 : \"n10\"\n"                                                           \
    "%11 = scale(%1) by=10.0 : \"n11\"\n"
#define TEN_GROUPS                                                                                 \
    "%2 = gap %2(%1)\n%3 = elem(%1) : mul(a0,2)\n%4 = elem(%1) : mul(a0,3)\n"                      \
    "%5 = elem(%1) : mul(a0,4)\n%6 = elem(%1) : mul(a0,5)\n%7 = elem(%1) : mul(a0,6)\n"            \
    "%8 = elem(%1) : mul(a0,7)\n%9 = elem(%1) : mul(a0,8)\n%10 = elem(%1) : mul(a0,9)\n"           \
    "%11 = elem(%1) : mul(a0,10)\n"
static const Case merges[] = {
    {"the later producer takes the sum",
     N(2, "conv(%1) c=8 k=3x3") N(3, "conv(%1) c=8 k=1x1") N(4, "add(%3, %2)") N(5, "relu(%4)"),
     Y(5), "%2 = conv %2(%1)\n%5 = conv %3(%1) map %2 : t1=add(a0,a1);max(t1,0)\n"},
    {"unless the later one cannot",
     N(2, "conv(%1) c=8 k=3x3") N(3, "slice(%1) from=0 to=8") N(4, "add(%2, %3)"), Y(4),
     "%3 = slice %3(%1)\n%4 = conv %2(%1) map %3 : add(a0,a1)\n"},
    {"a broadcast operand is a gate",
     N(2, "gap(%1)") N(3, "conv(%1) c=16 k=3x3") N(4, "add(%2, %3)"), Y(4),
     "%2 = gap %2(%1)\n%4 = conv %3(%1) gate %2 : add(a0,a1)\n"},
    {"the broadcast one does not take the sum",
     N(2, "conv(%1) c=16 k=3x3") N(3, "gap(%2)") N(4, "add(%3, %2)"), Y(4),
     "%2 = conv %2(%1)\n%3 = gap %3(%2)\n%4 = elem(%2) gate %3 : add(a0,a1)\n"},
    {"an operand that is there already",
     N(2, "conv(%1) c=16 k=1x1") N(3, "mul(%2, %1, %1)") N(4, "add(%3, %1)"), Y(4),
     "%4 = conv %2(%1) map %1 : t1=mul(a0,a1);t2=mul(t1,a1);add(t2,a1)\n"},
    {"ten operands in one",
     TEN N(12, "conv(%1) c=16 k=1x1") N(13, "mul(%12, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11)")
         N(14, "add(%13, %1)"),
     Y(14),
     TEN_GROUPS
     "%13 = conv %12(%1) gate %2 map %3 map %4 map %5 map %6 map %7 map %8 map %9 map %10 map %11 "
     ": "
     "t1=mul(a0,a1);t2=mul(t1,a2);t3=mul(t2,a3);t4=mul(t3,a4);t5=mul(t4,a5);t6=mul(t5,a6);"
     "t7=mul(t6,a7);t8=mul(t7,a8);t9=mul(t8,a9);mul(t9,a10)\n"
     "%14 = elem(%13) map %1 : add(a0,a1)\n"},
    {"thirteen in two turns",
     TEN N(12, "conv(%1) c=16 k=1x1") N(13, "slice(%12) from=0 to=16")
         N(14, "add(%12, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %1, %1)") N(15, "relu(%14)"),
     Y(15),
     TEN_GROUPS
     "%12 = conv %12(%1)\n"
     "%14 = elem(%12) gate %2 map %3 map %4 map %5 map %6 map %7 map %8 map %9 map %10 map %11 : "
     "t1=add(a0,a1);t2=add(t1,a2);t3=add(t2,a3);t4=add(t3,a4);t5=add(t4,a5);t6=add(t5,a6);"
     "t7=add(t6,a7);t8=add(t7,a8);t9=add(t8,a9);add(t9,a10)\n"
     "%14 = elem(%14) map %1 : t1=add(a0,a1);add(t1,a1)\n%15 = elem(%14) : max(a0,0)\n"},
};

#define SE N(2, "conv(%1) c=8 k=3x3") N(3, "gap(%2)") N(4, "sigmoid(%3)")
#define SE_GROUPS                                                                                  \
    "%2 = conv %2(%1)\n%4 = gap %3(%2) : t1=neg(a0);t2=exp(t1);t3=add(t2,1);div(1,t3)\n"
#define NO_GATE SE_GROUPS "%5 = elem(%2) gate %4 : mul(a0,a1)\n"
static const Case gates[] = {
    {"gate of a pointwise convolution", SE N(5, "mul(%2, %4)") N(6, "conv(%5) c=4 k=1x1"), Y(6),
     SE_GROUPS "%6 = conv %6(%2 * %4)\n"},
    {"written the other way", SE N(5, "mul(%4, %2)") N(6, "conv(%5) c=4 k=1x1") N(7, "bn(%6)"),
     Y(7), SE_GROUPS "%7 = conv %6(%2 * %4) bn %7\n"},
    {"gate of a dense layer on a map", SE N(5, "mul(%2, %4)") N(6, "dense(%5) c=4"), Y(6),
     SE_GROUPS "%6 = dense %6(%2 * %4)\n"},
    {"not with a window", SE N(5, "mul(%2, %4)") N(6, "conv(%5) c=4 k=3x3"), Y(6),
     NO_GATE "%6 = conv %6(%5)\n"},
    {"not with a stride", SE N(5, "mul(%2, %4)") N(6, "conv(%5) c=4 k=1x1 stride=2x2"), Y(6),
     NO_GATE "%6 = conv %6(%5)\n"},
    {"not with groups", SE N(5, "mul(%2, %4)") N(6, "conv(%5) c=4 k=1x1 groups=2"), Y(6),
     NO_GATE "%6 = conv %6(%5)\n"},
    {"not with padding", SE N(5, "mul(%2, %4)") N(6, "conv(%5) c=4 k=1x1 pad=1,1,1,1"), Y(6),
     NO_GATE "%6 = conv %6(%5)\n"},
    {"not when the product is a head", SE N(5, "mul(%2, %4)") N(6, "conv(%5) c=4 k=1x1"),
     ALSO(5) Y(6), NO_GATE "%6 = conv %6(%5)\n"},
    {"not when it is read twice",
     SE N(5, "mul(%2, %4)") N(6, "conv(%5) c=4 k=1x1") N(7, "conv(%5) c=4 k=1x1"), ALSO(6) Y(7),
     NO_GATE "%6 = conv %6(%5)\n%7 = conv %7(%5)\n"},
    {"not for a sum", SE N(5, "add(%2, %4)") N(6, "conv(%5) c=4 k=1x1"), Y(6),
     SE_GROUPS "%5 = elem(%2) gate %4 : add(a0,a1)\n%6 = conv %6(%5)\n"},
    {"not for an input, which is planar",
     N(2, "gap(%1)") N(3, "mul(%1, %2)") N(4, "conv(%3) c=4 k=1x1"), Y(4),
     "%2 = gap %2(%1)\n%3 = elem(%1) gate %2 : mul(a0,a1)\n%4 = conv %4(%3)\n"},
};
#endif
