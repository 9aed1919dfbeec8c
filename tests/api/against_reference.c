/* The output of a built network against the reference interpreter.
 *   against_reference GRAPH WEIGHTS.safetensors INPUT.npy OUTPUT.npy TOLERANCE
 * OUTPUT is that of the last head; the error is relative to the largest value. */
#include "analysis/analysis.h"
#include "import/npy.h"
#include "import/weights.h"
#include "ref/ref.h"
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

enum { HEADS_MAX = 16 };

static const float *value(void *weights, const char *name, const ParamSpec *spec)
{
    const WeightTensor *t = weights_find(weights, name);
    (void)spec;
    return t != NULL ? t->data : NULL;
}

static int fail(const char *what, const char *why)
{
    printf("%s: %s\n", what, why != NULL ? why : "unknown");
    return 1;
}

static int compare(const float *got, const double *want, int64_t n, double tolerance)
{
    double scale = 0, err = 0;
    for (int64_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - want[i]);
        scale = fmax(scale, fabs(want[i]));
        err = d != d ? INFINITY : fmax(err, d);
    }
    printf("largest %g, error %g\n", scale, err);
    return scale > 0 && err <= tolerance * scale ? 0 : fail("output", "differs");
}

static int check(Arena *a, char **argv)
{
    Graph g;
    Analysis an;
    NodeId at;
    ShapeError why;
    Weights w;
    NdArray in, got;
    double *want[HEADS_MAX] = {0};
    size_t len;
    const char *err = NULL;
    char *text = fs_read(argv[1], 1 << 24, &len, &err);
    if (text == NULL || (err = graph_read(&g, a, text, len)) != NULL)
        return fail(argv[1], err);
    if (!analysis_run(a, &g, &an, &at, &why) || g.ins.len != 1 || g.outs.len > HEADS_MAX)
        return fail(argv[1], "the graph is of another kind");
    if (!weights_read_safetensors(&w, a, argv[2], &err))
        return fail(argv[2], err);
    if (!npy_read(&in, argv[3], a, &err) || !npy_read(&got, argv[4], a, &err))
        return fail(argv[3], err);
    uint32_t last = g.outs.len - 1;
    int64_t n = shape_count(an.shape[g.outs.at[last].node.v]);
    if (in.count != shape_count(an.shape[g.ins.at[0].node.v]) || got.count != n)
        return fail(argv[4], "another number of values");
    RefRun run = {.g = &g, .shape = an.shape, .params = {&w, value, NULL}, .batch = 1};
    if (!ref_run(&run, (const float *const[]){in.data}, want, &err))
        return fail("reference", err);
    return compare(got.data, want[last], n, strtod(argv[5], NULL));
}

int main(int argc, char **argv)
{
    static OomHandler oom;
    static Arena a;
    if (argc != 6)
        return 2;
    if (setjmp(oom.env))
        return fail("memory", "exhausted");
    arena_init(&a, &oom, 0);
    return check(&a, argv);
}
