/* Small networks that meet what planning has to do: sums, gates, branches, views, several heads. */
#ifndef CNNC_TEST_PLAN_NETS_H
#define CNNC_TEST_PLAN_NETS_H

typedef struct PlanNet {
    const char *name, *text;
} PlanNet;

#define NET(NAME) "graph \"" NAME "\"\n"
#define IN(ID, C, H, W) "%" #ID " = input() c=" #C " h=" #H " w=" #W " : \"x" #ID "\"\n"
#define PORT(ID) "in \"x" #ID "\" %" #ID "\n"
#define HEAD(NAME, ID) "out \"" NAME "\" %" #ID " from %" #ID "\n"
#define MAIN(ID) "out \"y\" %" #ID " from %" #ID " primary\n"

/* clang-format off: one line of text per node */
static const PlanNet plan_nets[] = {
    {"residual block",
     NET("residual")
         IN(1, 3, 20, 17) "%2 = conv(%1) c=24 k=7x7 stride=2x2 bias=false : \"c1\"\n"
                          "%3 = bn(%2) : \"b1\"\n"
                          "%4 = relu(%3) : \"r1\"\n"
                          "%5 = maxpool(%4) k=3x3 stride=2x2 pad=same : \"p\"\n"
                          "%6 = conv(%5) c=24 k=3x3 bias=false : \"c2\"\n"
                          "%7 = bn(%6) : \"b2\"\n"
                          "%8 = relu(%7) : \"r2\"\n"
                          "%9 = conv(%8) c=24 k=3x3 bias=false : \"c3\"\n"
                          "%10 = bn(%9) : \"b3\"\n"
                          "%11 = add(%10, %5) : \"s\"\n"
                          "%12 = relu(%11) : \"r3\"\n"
                          "%13 = conv(%12) c=40 k=1x1 stride=2x2 bias=false : \"down\"\n"
                          "%14 = bn(%13) : \"bd\"\n"
                          "%15 = conv(%12) c=40 k=3x3 stride=2x2 : \"c4\"\n"
                          "%16 = add(%15, %14) : \"s2\"\n"
                          "%17 = relu(%16) : \"r4\"\n"
                          "%18 = gap(%17) : \"g\"\n"
                          "%19 = flatten(%18) : \"f\"\n"
                          "%20 = dense(%19) c=10 : \"fc\"\n" PORT(1) MAIN(20)},
    {"squeeze and excitation",
     NET("se") IN(1, 3, 16, 16) "%2 = conv(%1) c=20 k=3x3 stride=2x2 : \"stem\"\n"
                                "%3 = silu(%2) : \"a1\"\n"
                                "%4 = conv(%3) c=20 k=5x5 groups=20 bias=false : \"dw\"\n"
                                "%5 = bn(%4) : \"bn\"\n"
                                "%6 = silu(%5) : \"a2\"\n"
                                "%7 = gap(%6) : \"g\"\n"
                                "%8 = conv(%7) c=5 k=1x1 : \"sq\"\n"
                                "%9 = silu(%8) : \"a3\"\n"
                                "%10 = conv(%9) c=20 k=1x1 : \"ex\"\n"
                                "%11 = sigmoid(%10) : \"sg\"\n"
                                "%12 = mul(%6, %11) : \"m\"\n"
                                "%13 = conv(%12) c=20 k=1x1 bias=false : \"pw\"\n"
                                "%14 = bn(%13) : \"bn2\"\n"
                                "%15 = add(%14, %3) : \"s\"\n"
                                "%16 = mul(%15, %11) : \"again\"\n"
                                "%17 = hswish(%16) : \"hs\"\n" PORT(1) MAIN(17)},
    {"depthwise separable",
     NET("separable")
         IN(1, 3, 14, 18) "%2 = conv(%1) c=16 k=3x3 pad=same_upper stride=2x2 : \"stem\"\n"
                          "%3 = relu6(%2) : \"a0\"\n"
                          "%4 = conv(%3) c=16 k=3x3 groups=16 stride=2x2 : \"dw\"\n"
                          "%5 = relu6(%4) : \"a1\"\n"
                          "%6 = conv(%5) c=37 k=1x1 : \"pw\"\n"
                          "%7 = leaky(%6) slope=0.2 : \"a2\"\n"
                          "%8 = conv(%7) c=37 k=3x3 groups=37 dilation=2x2 : \"dw2\"\n"
                          "%9 = hsigmoid(%8) : \"a3\"\n"
                          "%10 = softmax(%9) : \"sm\"\n" PORT(1) MAIN(10)},
    {"branches of a concatenation",
     NET("concat") IN(1, 6, 9, 11) "%2 = conv(%1) c=16 k=1x1 : \"a\"\n"
                                   "%3 = conv(%1) c=24 k=3x3 : \"b\"\n"
                                   "%4 = conv(%1) c=5 k=5x5 : \"c\"\n"
                                   "%5 = maxpool(%1) k=3x3 stride=1x1 pad=same : \"p\"\n"
                                   "%6 = concat(%2, %3, %4, %5) : \"cat\"\n"
                                   "%7 = relu(%6) : \"r\"\n"
                                   "%8 = conv(%7) c=12 k=3x3 : \"d\"\n"
                                   "%9 = concat(%7, %8, %2) : \"cat2\"\n"
                                   "%10 = avgpool(%9) k=2x2 pad=1,0,1,0 : \"ap\"\n" PORT(1)
                                       MAIN(10)},
    {"dense connections",
     NET("dense") IN(1, 3, 8, 8) "%2 = conv(%1) c=16 k=3x3 : \"c0\"\n"
                                 "%3 = bn(%2) : \"b1\"\n"
                                 "%4 = relu(%3) : \"r1\"\n"
                                 "%5 = conv(%4) c=16 k=3x3 : \"c1\"\n"
                                 "%6 = concat(%2, %5) : \"k1\"\n"
                                 "%7 = bn(%6) : \"b2\"\n"
                                 "%8 = relu(%7) : \"r2\"\n"
                                 "%9 = conv(%8) c=8 k=3x3 : \"c2\"\n"
                                 "%10 = concat(%6, %9) : \"k2\"\n"
                                 "%11 = bn(%10) scale=false : \"b3\"\n"
                                 "%12 = relu(%11) : \"r3\"\n"
                                 "%13 = conv(%12) c=8 k=3x3 : \"c3\"\n"
                                 "%14 = concat(%10, %13) : \"k3\"\n"
                                 "%15 = gap(%14) : \"g\"\n"
                                 "%16 = dense(%15) c=33 : \"fc\"\n" PORT(1) MAIN(16)},
    {"several heads",
     NET("heads") IN(1, 4, 10, 10) IN(2, 20, 1, 1) "%3 = conv(%1) c=20 k=3x3 : \"trunk\"\n"
                                                   "%4 = relu(%3) : \"r\"\n"
                                                   "%5 = conv(%4) c=7 k=1x1 : \"map\"\n"
                                                   "%6 = gap(%4) : \"g\"\n"
                                                   "%7 = dense(%6) c=9 : \"fc\"\n"
                                                   "%8 = softmax(%7) : \"sm\"\n"
                                                   "%9 = mul(%4, %2) : \"scaled\"\n"
                                                   "%10 = conv(%9) c=20 k=1x1 : \"last\"\n" PORT(1)
                                                       PORT(2) HEAD("map", 5) HEAD("logits", 7)
                                                           HEAD("probability", 8) MAIN(10)},
    {"flattened maps",
     NET("flatten") IN(1, 3, 12, 12) "%2 = conv(%1) c=10 k=5x5 pad=0,0,0,0 : \"c1\"\n"
                                     "%3 = tanh(%2) : \"t\"\n"
                                     "%4 = avgpool(%3) k=2x2 : \"p\"\n"
                                     "%5 = flatten(%4) : \"f\"\n"
                                     "%6 = dense(%5) c=84 : \"fc1\"\n"
                                     "%7 = gelu(%6) : \"a\"\n"
                                     "%8 = dropout(%7) : \"d\"\n"
                                     "%9 = dense(%8) c=10 : \"fc2\"\n"
                                     "%10 = relu(%5) : \"vector\"\n" PORT(1) HEAD("vector", 10)
                                         HEAD("flat", 5) MAIN(9)},
    {"input that is flattened",
     NET("mlp") IN(1, 2, 6, 5) "%2 = flatten(%1) : \"f\"\n"
                               "%3 = dense(%2) c=33 bias=false : \"a\"\n"
                               "%4 = relu(%3) : \"r\"\n"
                               "%5 = ln(%4) : \"ln\"\n"
                               "%6 = dense(%5) c=7 : \"b\"\n" PORT(1) HEAD("same", 1) MAIN(6)},
    {"convnext block",
     NET("convnext") IN(1, 3, 16, 16) "%2 = conv(%1) c=24 k=4x4 stride=4x4 pad=0,0,0,0 : \"stem\"\n"
                                      "%3 = ln(%2) : \"n0\"\n"
                                      "%4 = conv(%3) c=24 k=7x7 groups=24 : \"dw\"\n"
                                      "%5 = ln(%4) eps=1e-6 : \"n1\"\n"
                                      "%6 = dense(%5) c=96 : \"up\"\n"
                                      "%7 = gelu(%6) : \"a\"\n"
                                      "%8 = dense(%7) c=24 : \"down\"\n"
                                      "%9 = layer_scale(%8) : \"ls\"\n"
                                      "%10 = drop_path(%9) : \"dp\"\n"
                                      "%11 = add(%10, %3) : \"s\"\n"
                                      "%12 = gap(%11) : \"g\"\n"
                                      "%13 = ln(%12) : \"n2\"\n"
                                      "%14 = dense(%13) c=11 : \"fc\"\n" PORT(1) MAIN(14)},
    {"shuffled groups",
     NET("shuffle") IN(1, 3, 10, 10) "%2 = conv(%1) c=48 k=3x3 stride=2x2 : \"stem\"\n"
                                     "%3 = slice(%2) from=0 to=24 : \"left\"\n"
                                     "%4 = slice(%2) from=24 to=48 : \"right\"\n"
                                     "%5 = conv(%4) c=24 k=1x1 groups=3 : \"g\"\n"
                                     "%6 = relu(%5) : \"r\"\n"
                                     "%7 = concat(%3, %6) : \"cat\"\n"
                                     "%8 = shuffle(%7) groups=2 : \"sh\"\n"
                                     "%9 = slice(%8) from=16 to=43 : \"s3\"\n"
                                     "%10 = gap(%9) : \"gp\"\n"
                                     "%11 = softmax(%9) : \"sm\"\n"
                                     "%12 = space_to_depth(%11) by=1 : \"sd1\"\n"
                                     "%13 = crop(%12) top=1 : \"cr\"\n"
                                     "%14 = space_to_depth(%13) by=1 : \"sd\"\n" PORT(1)
                                         HEAD("mean", 10) MAIN(14)},
    {"up and down",
     NET("unet") IN(1, 3, 12, 8) "%2 = conv(%1) c=12 k=3x3 : \"e1\"\n"
                                 "%3 = relu(%2) : \"r1\"\n"
                                 "%4 = space_to_depth(%3) by=2 : \"sd\"\n"
                                 "%5 = conv(%4) c=24 k=3x3 : \"e2\"\n"
                                 "%6 = lrn(%5) size=5 : \"n\"\n"
                                 "%7 = maxpool(%6) k=2x2 : \"p\"\n"
                                 "%8 = conv(%7) c=30 k=3x3 : \"mid\"\n"
                                 "%9 = convt(%8) c=24 k=2x2 stride=2x2 bias=false : \"u1\"\n"
                                 "%10 = bn(%9) : \"ub\"\n"
                                 "%11 = add(%10, %6) : \"j1\"\n"
                                 "%12 = upsample(%11) by=2x2 bilinear=true : \"u2\"\n"
                                 "%13 = concat(%12, %3) : \"j2\"\n"
                                 "%14 = zeropad(%13) top=1 right=2 : \"zp\"\n"
                                 "%15 = conv(%14) c=3 k=3x3 pad=0,0,0,0 : \"out\"\n"
                                 "%16 = upsample(%15) by=2x3 : \"u3\"\n"
                                 "%17 = adaptive_avgpool(%16) k=5x7 : \"aa\"\n" PORT(1) MAIN(17)},
    {"sums of many",
     NET("many")
         IN(1, 18, 5, 5) "%2 = conv(%1) c=18 k=3x3 : \"a\"\n"
                         "%3 = relu(%1) : \"b\"\n"
                         "%4 = tanh(%1) : \"c\"\n"
                         "%5 = sigmoid(%1) : \"d\"\n"
                         "%6 = scale(%1) by=0.5 : \"e\"\n"
                         "%7 = silu(%2) : \"f\"\n"
                         "%8 = gap(%2) : \"g\"\n"
                         "%9 = scale(%2) by=0.25 : \"h\"\n"
                         "%10 = scale(%2) by=0.75 : \"i\"\n"
                         "%11 = scale(%1) by=0.25 : \"j\"\n"
                         "%12 = tanh(%2) : \"k\"\n"
                         "%13 = sigmoid(%2) : \"l\"\n"
                         "%14 = add(%1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, "
                         "%2, %3) : \"sum\"\n"
                         "%15 = mul(%14, %3) : \"m\"\n"
                         "%16 = mul(%15, %15) : \"m2\"\n"
                         "%17 = add(%16, %14, %14) : \"s2\"\n" PORT(1) MAIN(17)},
    {"windows over large maps",
     NET("large") IN(1, 36, 29, 31) "%2 = conv(%1) c=40 k=3x3 bias=false : \"a\"\n"
                                    "%3 = bn(%2) : \"b\"\n"
                                    "%4 = relu(%3) : \"r\"\n"
                                    "%5 = conv(%4) c=40 k=3x3 : \"c\"\n"
                                    "%6 = add(%5, %2) : \"s\"\n"
                                    "%7 = conv(%6) c=33 k=3x3 pad=0,0,0,0 : \"d\"\n"
                                    "%8 = gelu(%7) : \"g\"\n"
                                    "%9 = concat(%8, %7) : \"cat\"\n" PORT(1) MAIN(9)},
    {"weights fetched ahead",
     NET("ahead") IN(1, 20, 6, 5) "%2 = conv(%1) c=72 k=1x1 : \"a\"\n"
                                  "%3 = relu(%2) : \"r\"\n"
                                  "%4 = conv(%3) c=90 k=1x1 : \"b\"\n"
                                  "%5 = gap(%4) : \"g\"\n"
                                  "%6 = flatten(%5) : \"f\"\n"
                                  "%7 = dense(%6) c=500 : \"fc\"\n" PORT(1) MAIN(7)},
    {"deep and narrow", NET("deep") IN(1, 64, 7, 7) "%2 = conv(%1) c=256 k=1x1 : \"a\"\n"
                                                    "%3 = relu(%2) : \"r\"\n"
                                                    "%4 = conv(%3) c=512 k=3x3 stride=2x2 : \"b\"\n"
                                                    "%5 = conv(%4) c=64 k=1x1 : \"c\"\n"
                                                    "%6 = conv(%5) c=512 k=3x3 groups=8 : \"d\"\n"
                                                    "%7 = add(%6, %4) : \"s\"\n" PORT(1) MAIN(7)},
};
enum { PLAN_NETS = sizeof plan_nets / sizeof *plan_nets };

#undef NET
#undef IN
#undef PORT
#undef HEAD
#undef MAIN

/* A program of a test for each of them, which finds it in its state, and one of random ones. */
static inline int plan_nets_run(const char *name, CMUnitTestFunction each,
                                CMUnitTestFunction random)
{
    struct CMUnitTest tests[PLAN_NETS + 1];
    for (int i = 0; i < PLAN_NETS; i++)
        tests[i] = (struct CMUnitTest){
            .name = plan_nets[i].name, .test_func = each, .initial_state = (void *)&plan_nets[i]};
    tests[PLAN_NETS] = (struct CMUnitTest){.name = "random nets", .test_func = random};
    return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
#endif
