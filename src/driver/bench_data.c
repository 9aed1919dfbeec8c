/* bench --data: how fast pictures come. What the loader of a training run does, without the steps
 * between: reading, decoding, the augmentation of the net's train section, normalisation. */
#include "driver/bench.h"
#include "driver/train_data.h"
#include "driver/train_settings.h"
#include "pool.h"
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

enum { ROWS_MOST = 12 };
static const double warm_seconds = 0.5, least_seconds = 3;

typedef struct Rate {
    int64_t workers, images;
    double clock, processor; /* seconds */
} Rate;

/* Seconds that all threads of the process have run. */
static double processor_seconds(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Epochs of batches, at least one batch, until the time is over, after some that warm up: memory is
 * touched for the first time. Batches that were prepared and not taken count in the processor's
 * time alone. */
static int run_loader(Run *r, CnndataLoader *l, Rate *rate)
{
    CnndataBatch b;
    int status = CNNDATA_OK;
    double start = front_seconds(), clock = start, processor = 0;
    bool warm = false;
    for (int64_t epoch = 0; status == CNNDATA_OK && rate->clock < least_seconds; epoch++) {
        status = cnndata_loader_start_epoch(l, epoch, 0);
        while (status == CNNDATA_OK && rate->clock < least_seconds &&
               (status = cnndata_loader_next(l, &b)) == CNNDATA_OK) {
            if (warm) {
                rate->images += b.n;
                rate->clock = front_seconds() - clock;
            } else if (front_seconds() - start > warm_seconds) {
                warm = true;
                clock = front_seconds();
                processor = processor_seconds();
            }
        }
        status = status == CNNDATA_END ? CNNDATA_OK : status;
    }
    rate->processor = processor_seconds() - processor;
    return status == CNNDATA_OK ? EXIT_FINE
                                : train_data_failure(r, status, cnndata_loader_error(l));
}

static int measure(Run *r, const Net *n, const TrainSpec *spec, Rate *rate)
{
    TrainData d;
    TrainSpec s = *spec;
    s.workers = rate->workers;
    int code = train_data_open(&d, r, n, &s, true);
    if (code == EXIT_FINE)
        code = run_loader(r, d.train, rate);
    train_data_close(&d);
    return code;
}

static int print_rates(Run *r, const Net *n, const TrainSpec *spec, const Rate *rate, int count)
{
    const char *f = cli_get(r->cli, OPT_FORMAT), *data = cli_get(r->cli, OPT_DATA);
    bool json = f != NULL && strcmp(f, "json") == 0;
    Buf out = {0};
    if (json)
        buf_printf(&out, "{\"schema\":1,\"net\":\"%s\",\"batch\":%" PRId64 ",\"loader\":[",
                   n->elab->graph.name, spec->batch);
    else
        buf_printf(&out,
                   "%s, %s, batches of %" PRId64
                   "\nworkers  images/s  ms an image  of a processor\n",
                   n->elab->graph.name, data, spec->batch);
    for (int i = 0; i < count; i++) {
        double images = (double)rate[i].images;
        if (json)
            buf_printf(&out,
                       "%s{\"workers\":%" PRId64 ",\"images\":%" PRId64
                       ",\"images_per_s\":%.2f,\"processor_ms\":%.4f}",
                       i > 0 ? "," : "", rate[i].workers, rate[i].images, images / rate[i].clock,
                       1e3 * rate[i].processor / images);
        else
            buf_printf(&out, "%7" PRId64 " %9.1f %12.3f %15.3f\n", rate[i].workers,
                       images / rate[i].clock, 1e3 * rate[i].clock / images,
                       1e3 * rate[i].processor / images);
    }
    buf_add(&out, json ? "]}\n" : "");
    return front_write(r, NULL, &out);
}

int bench_data(Run *r)
{
    Net net;
    TrainSpec spec;
    Rate rate[ROWS_MOST] = {{0}};
    Buf err = {0};
    int64_t batch;
    int count = 0;
    if (!cli_int(r->cli, OPT_BATCH, 1, 65536, 0, &batch, &err))
        return front_fail(r, EXIT_USAGE, "%s", err.at != NULL ? err.at : "out of memory");
    int code = front_open(r, r->cli->operands[0], VERDICTS_SILENT, &net);
    if (code == EXIT_FINE)
        code = train_settings(r, &net, &spec);
    if (code != EXIT_FINE)
        return code;
    spec.batch = batch > 0 ? batch : spec.batch;
    int64_t most = spec.workers > 0 ? spec.workers : cnnrt_pool_default_threads();
    int64_t workers = spec.workers > 0 ? most : 1;
    while (code == EXIT_FINE && count < ROWS_MOST) {
        rate[count].workers = workers;
        code = measure(r, &net, &spec, &rate[count++]);
        if (workers == most)
            break;
        workers = 2 * workers < most ? 2 * workers : most;
    }
    return code == EXIT_FINE ? print_rates(r, &net, &spec, rate, count) : code;
}
