#include "driver/inputs.h"
#include "driver/parameters.h"
#include "import/image.h"
#include "import/npy.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void inputs_close(Inputs *in)
{
    for (int i = 0; i < INPUTS_MAX; i++)
        free(in->data[i]);
    *in = (Inputs){0};
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static int read_npy(Inputs *in, Run *r, const char *path, Shape s, int index)
{
    NdArray a;
    const char *err;
    if (!npy_read(&a, path, &r->net_arena, &err))
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    int lead = a.ndim - 3;
    int64_t batch = lead == 1 ? a.dims[0] : 1;
    if (lead < 0 || lead > 1 || a.dims[lead] != s.c || a.dims[lead + 1] != s.h ||
        a.dims[lead + 2] != s.w || batch < 1) {
        Buf have = {0};
        for (int i = 0; i < a.ndim; i++)
            buf_printf(&have, "%s%" PRId64, i ? "x" : "", a.dims[i]);
        int code =
            front_fail(r, EXIT_REFUSED,
                       "%s: the array is %s, the input takes [N]x%" PRId64 "x%" PRId64 "x%" PRId64,
                       path, have.at ? have.at : "a scalar", s.c, s.h, s.w);
        buf_free(&have);
        free(a.data);
        return code;
    }
    in->data[index] = a.data;
    if (in->batch != 0 && in->batch != batch)
        return front_fail(r, EXIT_REFUSED,
                          "%s: %" PRId64 " images, the input before it has %" PRId64, path, batch,
                          in->batch);
    in->batch = batch;
    return EXIT_FINE;
}

static int read_picture(Inputs *in, Run *r, const char *path, const GraphInput *gi, Shape s,
                        int index)
{
    Image im;
    const char *err;
    ImagePrep p = {.c = s.c, .h = s.h, .w = s.w, .has_norm = gi->has_norm};
    memcpy(p.mean, gi->mean, sizeof p.mean);
    memcpy(p.std, gi->std, sizeof p.std);
    /* the declared preparation is for the declared size; another size is fitted directly */
    if (gi->crop == s.h && gi->crop == s.w) {
        p.resize = gi->resize;
        p.crop = gi->crop;
    }
    if (!image_read(&im, path, &r->net_arena, &err))
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    in->data[index] = malloc((size_t)shape_count(s) * sizeof(float));
    bool ok =
        in->data[index] != NULL && image_prepare(&im, &p, in->data[index], &r->net_arena, &err);
    image_free(&im);
    if (!ok)
        return front_fail(r, in->data[index] == NULL ? EXIT_LIMIT : EXIT_REFUSED, "%s: %s", path,
                          in->data[index] == NULL ? "out of memory" : err);
    in->batch = 1;
    in->picture = true;
    return EXIT_FINE;
}

int inputs_fixture(Inputs *in, Run *r, const Net *n, int64_t batch, uint64_t seed)
{
    const Graph *g = &n->elab->graph;
    if (g->ins.len > INPUTS_MAX)
        return front_fail(r, EXIT_LIMIT, "more than %d inputs", INPUTS_MAX);
    for (uint32_t i = 0; i < g->ins.len; i++) {
        int64_t count = shape_count(n->an.shape[g->ins.at[i].node.v]) * batch;
        in->data[i] = malloc((size_t)count * sizeof(float));
        if (in->data[i] == NULL)
            return front_fail(r, EXIT_LIMIT, "out of memory for the input");
        parameters_fixture_input(seed, count, in->data[i]);
    }
    in->batch = batch;
    return EXIT_FINE;
}

int inputs_open(Inputs *in, Run *r, const Net *n)
{
    static const char fixture[] = "fixture:";
    const Graph *g = &n->elab->graph;
    Buf err = {0};
    uint32_t at = 0;
    int64_t batch;
    *in = (Inputs){0};
    if (!cli_int(r->cli, OPT_BATCH, 1, 4096, 1, &batch, &err)) {
        front_fail(r, EXIT_USAGE, "%s", err.at);
        buf_free(&err);
        return EXIT_USAGE;
    }
    for (int i = 0; i < r->cli->value_count; i++) {
        const char *path = r->cli->values[i].text;
        if (r->cli->values[i].option != OPT_INPUT || front_is_dims(path))
            continue;
        if (strncmp(path, fixture, sizeof fixture - 1) == 0)
            return inputs_fixture(in, r, n, batch, strtoull(path + sizeof fixture - 1, NULL, 10));
        if (at == g->ins.len || at == INPUTS_MAX)
            return front_fail(r, EXIT_USAGE, "'%s' has %u input%s, found also %s", g->name,
                              g->ins.len, g->ins.len == 1 ? "" : "s", path);
        Shape s = n->an.shape[g->ins.at[at].node.v];
        int code = ends_with(path, ".npy") ? read_npy(in, r, path, s, (int)at)
                                           : read_picture(in, r, path, &g->ins.at[at], s, (int)at);
        if (code != EXIT_FINE)
            return code;
        at++;
    }
    if (at < g->ins.len)
        return front_fail(r, EXIT_USAGE, "'%s' needs --input=FILE for its input '%s'", g->name,
                          g->ins.at[at].name);
    return EXIT_FINE;
}
