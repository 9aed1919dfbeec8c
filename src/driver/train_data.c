#include "driver/train_data.h"
#include "cnntrain/progress.h"
#include "pool.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PLAIN_EVERY = 10 };

uint32_t train_data_head(const Net *n)
{
    const Graph *g = &n->elab->graph;
    for (uint32_t i = 0; i < g->outs.len; i++)
        if (g->outs.at[i].primary)
            return i;
    return g->outs.len - 1;
}

int train_data_failure(Run *r, int status, const char *message)
{
    int code = status == CNNDATA_NO_MEMORY || status == CNNDATA_NO_THREADS ? EXIT_LIMIT
               : status == CNNDATA_BAD_ARGUMENT                            ? EXIT_USAGE
                                                                           : EXIT_FILE;
    return front_fail(r, code, "%s", message);
}

/* What the chain of a train section is to the loader. */
static int32_t augmentation(const TrainSpec *spec, CnndataOp *ops)
{
    int32_t n = 0;
    for (uint32_t i = 0; i < spec->augment_count; i++) {
        const AugmentSpec *a = &spec->augment[i];
        CnndataOp *o = &ops[n++];
        switch (a->kind) {
        case TRAIN_RANDOM_RESIZED_CROP:
            *o = (CnndataOp){CNNDATA_RANDOM_RESIZED_CROP, {(double)a->size, a->scale_min}};
            break;
        case TRAIN_RANDOM_CROP:
            *o = (CnndataOp){CNNDATA_RANDOM_CROP, {(double)a->size, (double)a->pad}};
            break;
        case TRAIN_HFLIP: *o = (CnndataOp){CNNDATA_HFLIP, {a->p}}; break;
        case TRAIN_COLOR_JITTER:
            *o = (CnndataOp){CNNDATA_COLOR_JITTER, {a->brightness, a->contrast, a->saturation}};
            break;
        case TRAIN_RAND_AUGMENT:
            *o = (CnndataOp){CNNDATA_RAND_AUGMENT, {a->magnitude, a->std, (double)a->ops, a->p}};
            break;
        case TRAIN_AUTO_AUGMENT:
            *o = (CnndataOp){CNNDATA_AUTO_AUGMENT, {(double)cnndata_policy_find(a->policy)}};
            break;
        case TRAIN_ERASE: *o = (CnndataOp){CNNDATA_ERASE, {a->p}}; break;
        case TRAIN_MIXUP: *o = (CnndataOp){CNNDATA_MIXUP, {a->alpha}}; break;
        case TRAIN_CUTMIX: *o = (CnndataOp){CNNDATA_CUTMIX, {a->alpha}}; break;
        default: n--; break;
        }
    }
    return n;
}

/* Targets are one class for a picture, the same for every head that has a loss. */
static int check_head(Run *r, const Net *n, uint32_t head)
{
    const Graph *g = &n->elab->graph;
    const char *name = g->outs.at[head].name;
    Shape out = n->an.shape[g->outs.at[head].node.v];
    Shape first = n->an.shape[g->outs.at[train_data_head(n)].node.v];
    if (out.h != 1 || out.w != 1)
        return front_fail(r, EXIT_REFUSED,
                          "the head '%s' of '%s' is a map of %" PRId64 "x%" PRId64
                          "; data sets have one class for a picture",
                          name, g->name, out.h, out.w);
    if (out.c != first.c)
        return front_fail(r, EXIT_REFUSED,
                          "the head '%s' of '%s' has %" PRId64 " classes, '%s' %" PRId64
                          "; data sets have one class for a picture",
                          name, g->name, out.c, g->outs.at[train_data_head(n)].name, first.c);
    return EXIT_FINE;
}

/* Pictures and classes are all that data sets have. */
static int check_net(Run *r, const Net *n, const TrainSpec *spec)
{
    const Graph *g = &n->elab->graph;
    Shape in = n->an.shape[g->ins.at[0].node.v];
    if (g->ins.len != 1)
        return front_fail(r, EXIT_REFUSED, "'%s' has %u inputs; data sets have pictures alone",
                          g->name, (unsigned)g->ins.len);
    if (in.c != 1 && in.c != 3)
        return front_fail(r, EXIT_REFUSED,
                          "'%s' takes %" PRId64 " channels; pictures have 3, or 1 in grey", g->name,
                          in.c);
    int code = check_head(r, n, train_data_head(n));
    for (uint32_t i = 0; code == EXIT_FINE && i < spec->loss_count; i++)
        code = check_head(r, n, spec->loss[i].output);
    return code;
}

static CnndataLoaderConfig loader_config(const Net *n, const TrainSpec *spec, int64_t classes)
{
    const GraphInput *in = &n->elab->graph.ins.at[0];
    Shape s = n->an.shape[in->node.v];
    CnndataLoaderConfig c = {.batch = spec->batch,
                             .c = s.c,
                             .h = s.h,
                             .w = s.w,
                             .classes = classes,
                             .has_norm = in->has_norm,
                             .resize = in->resize,
                             .crop = in->crop,
                             .seed = (uint64_t)spec->seed};
    memcpy(c.mean, in->mean, sizeof c.mean);
    memcpy(c.std, in->std, sizeof c.std);
    c.workers = (int32_t)(spec->workers > 0 ? spec->workers : cnnrt_pool_default_threads());
    return c;
}

static int open_set(CnndataSet **set, Run *r, const Net *n, CnndataSplit split, int64_t classes)
{
    char message[CNNDATA_ERROR_MAX] = "";
    const char *data = cli_get(r->cli, OPT_DATA);
    int status = cnndata_open(set, data, split, message, sizeof message);
    if (status != CNNDATA_OK)
        return train_data_failure(r, status, message);
    if (cnndata_classes(*set) > classes)
        return front_fail(r, EXIT_REFUSED,
                          "%s has %" PRId64 " classes, the head '%s' of '%s' %" PRId64
                          ": set the parameter that says how many (-p classes=%" PRId64 "?)",
                          data, cnndata_classes(*set),
                          n->elab->graph.outs.at[train_data_head(n)].name, n->elab->graph.name,
                          classes, cnndata_classes(*set));
    return EXIT_FINE;
}

static int open_loader(CnndataLoader **l, Run *r, const CnndataLoaderConfig *c)
{
    char message[CNNDATA_ERROR_MAX] = "";
    int status = cnndata_loader_create(l, c, message, sizeof message);
    return status == CNNDATA_OK ? EXIT_FINE : train_data_failure(r, status, message);
}

/* A folder without parts gives the same pictures for both. */
static bool same_pictures(const CnndataSet *a, const CnndataSet *b)
{
    char one[512], other[512];
    int64_t ends[2] = {0, cnndata_count(a) - 1};
    bool same = cnndata_count(a) == cnndata_count(b);
    for (int i = 0; same && i < 2; i++) {
        cnndata_sample_name(a, ends[i], one, sizeof one);
        cnndata_sample_name(b, ends[i], other, sizeof other);
        same = strcmp(one, other) == 0;
    }
    return same;
}

static int open_validation(TrainData *d, Run *r, const Net *n, const TrainSpec *spec, bool needed)
{
    char message[CNNDATA_ERROR_MAX] = "";
    if (!needed) {
        int status = cnndata_open(&d->val_set, cli_get(r->cli, OPT_DATA), CNNDATA_VAL, message,
                                  sizeof message);
        if (status == CNNDATA_NO_FILE) {
            front_note(r, "no validation: %s", message);
            return EXIT_FINE;
        }
        if (status != CNNDATA_OK)
            return train_data_failure(r, status, message);
        if (same_pictures(d->set, d->val_set)) {
            front_note(r,
                       "no validation: %s has no part of its own for that (folders train and val)",
                       cli_get(r->cli, OPT_DATA));
            cnndata_close(d->val_set);
            d->val_set = NULL;
            return EXIT_FINE;
        }
    } else {
        int code = open_set(&d->val_set, r, n, CNNDATA_VAL, d->classes);
        if (code != EXIT_FINE)
            return code;
    }
    CnndataLoaderConfig c = loader_config(n, spec, d->classes);
    c.set = d->val_set;
    c.transform = CNNDATA_VAL;
    return open_loader(&d->val, r, &c);
}

int train_data_open(TrainData *d, Run *r, const Net *n, const TrainSpec *spec, bool train)
{
    CnndataOp ops[TRAIN_AUGMENTS];
    *d = (TrainData){0};
    if (!cli_has(r->cli, OPT_DATA))
        return front_fail(r, EXIT_USAGE,
                          "which pictures? --data=KIND:PATH, such as idx:/usr/share/datasets or "
                          "folder:pictures");
    int code = check_net(r, n, spec);
    if (code != EXIT_FINE)
        return code;
    d->classes = n->an.shape[n->elab->graph.outs.at[train_data_head(n)].node.v].c;
    if (train)
        code = open_set(&d->set, r, n, CNNDATA_TRAIN, d->classes);
    if (code == EXIT_FINE && train) {
        CnndataLoaderConfig c = loader_config(n, spec, d->classes);
        c.set = d->set;
        c.ops = ops;
        c.op_count = augmentation(spec, ops);
        c.shuffle = c.drop_last = 1;
        code = open_loader(&d->train, r, &c);
    }
    return code == EXIT_FINE ? open_validation(d, r, n, spec, !train) : code;
}

void train_data_close(TrainData *d)
{
    cnndata_loader_free(d->train);
    cnndata_loader_free(d->val);
    cnndata_close(d->set);
    cnndata_close(d->val_set);
    *d = (TrainData){0};
}

char *train_data_class_names(const TrainData *d)
{
    const CnndataSet *set = d->set != NULL ? d->set : d->val_set;
    Buf out = {0};
    for (int64_t k = 0; k < cnndata_classes(set); k++)
        buf_printf(&out, "%s\n", cnndata_class_name(set, k));
    if (buf_ok(&out))
        return out.at;
    buf_free(&out);
    return NULL;
}

int validation_open(Validation *v, Run *r, const Net *n, int64_t batch, int threads)
{
    *v = (Validation){.n = n};
    if (n->elab->graph.outs.len > sizeof v->out / sizeof v->out[0])
        return front_fail(r, EXIT_LIMIT, "more than %zu heads", sizeof v->out / sizeof v->out[0]);
    int code = native_plan(&v->code, r, n);
    if (code == EXIT_FINE)
        code = native_load(&v->code, r, n, (int)batch);
    if (code != EXIT_FINE)
        return code;
    size_t bytes = (size_t)v->code.plan.weight_floats * sizeof(float);
    if (posix_memalign((void **)&v->code.blob, 64, bytes > 0 ? bytes : 64) != 0) {
        v->code.blob = NULL;
        return front_fail(r, EXIT_LIMIT, "out of memory for %zu bytes of weights", bytes);
    }
    for (uint32_t i = 0; i < n->elab->graph.outs.len; i++) {
        int64_t count = shape_count(n->an.shape[n->elab->graph.outs.at[i].node.v]) * batch;
        v->out[i] = calloc((size_t)count, sizeof(float));
        if (v->out[i] == NULL)
            return front_fail(r, EXIT_LIMIT, "out of memory for the outputs");
    }
    int status = cnnrt_create(&v->ctx, v->code.model, v->code.blob, threads, NULL, 0);
    return status == CNNRT_OK ? EXIT_FINE : native_failure(r, v->code.model, status);
}

void validation_close(Validation *v)
{
    cnnrt_destroy(v->ctx);
    for (int i = 0; i < 64; i++)
        free(v->out[i]);
    native_close(&v->code);
    *v = (Validation){0};
}

static double cross_entropy(const float *z, int64_t n, int32_t label)
{
    double max = z[0];
    for (int64_t i = 1; i < n; i++)
        max = fmax(max, z[i]);
    double sum = exp(z[0] - max);
    for (int64_t i = 1; i < n; i++)
        sum += exp(z[i] - max);
    return max + log(sum) - z[label];
}

int validation_run(Validation *v, Run *r, TrainData *d, const ParamSource *params,
                   const volatile sig_atomic_t *stop, Score *out)
{
    CnndataBatch b;
    CnntrainMetrics m;
    CnntrainMeter meter = cnntrain_meter(
        STDERR_FILENO, cnntrain_progress_voice(STDERR_FILENO, r->quiet), PLAIN_EVERY);
    double start = meter.last = front_seconds(); /* a short one shows nothing */
    uint32_t head = train_data_head(v->n);
    *out = (Score){0};
    const char *missing = plan_pack(&v->code.plan, params, 0, v->code.blob);
    if (missing != NULL)
        return front_fail(r, EXIT_REFUSED, "no value for parameter '%s'", missing);
    if (!cnntrain_metrics_init(&m, d->classes, false))
        return front_fail(r, EXIT_LIMIT, "out of memory");
    int status = cnnrt_send_weights(v->ctx, 0, v->code.plan.weight_floats);
    int data = cnndata_loader_start_epoch(d->val, 0, 0);
    while (status == CNNRT_OK && data == CNNDATA_OK && !out->cut &&
           (data = cnndata_loader_next(d->val, &b)) == CNNDATA_OK) {
        out->cut = stop != NULL && *stop != 0;
        status = cnnrt_run(v->ctx, (int)b.n, &b.images, v->out);
        cnntrain_metrics_add(&m, v->out[head], b.labels, b.n);
        for (int64_t i = 0; i < b.n; i++)
            out->loss += cross_entropy(v->out[head] + i * d->classes, d->classes, b.labels[i]);
        out->images += b.n;
        double now = front_seconds();
        CnntrainProgress p = {.what = "validation",
                              .done = b.number + 1,
                              .total = cnndata_loader_batches(d->val),
                              .loss = out->loss / (double)out->images,
                              .accuracy = cnntrain_metrics_top1(&m),
                              .images_per_second = (double)out->images / (now - start),
                              .seconds_left = NAN};
        cnntrain_meter_show(&meter, &p, now, false);
    }
    cnntrain_meter_clear(&meter);
    out->loss /= (double)(out->images > 0 ? out->images : 1);
    out->top1 = cnntrain_metrics_top1(&m);
    out->top5 = cnntrain_metrics_top5(&m);
    out->seconds = front_seconds() - start;
    cnntrain_metrics_free(&m);
    if (status != CNNRT_OK)
        return native_failure(r, v->code.model, status);
    return data == CNNDATA_END || out->cut
               ? EXIT_FINE
               : train_data_failure(r, data, cnndata_loader_error(d->val));
}
