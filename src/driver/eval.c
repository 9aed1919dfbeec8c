/* eval: the accuracy of parameters on the validation part of a data set. */
#include "driver/commands.h"
#include "driver/train_data.h"
#include <inttypes.h>
#include <math.h>

static void print(Run *r, const Net *net, const Score *s, Buf *out)
{
    const char *name = net->elab->graph.name;
    if (command_format(r) != SUMMARY_JSON) {
        buf_printf(out, "%s: %" PRId64 " pictures, loss %.4f, top-1 %.2f %%, top-5 %.2f %%\n", name,
                   s->images, s->loss, 100 * s->top1, 100 * s->top5);
        return;
    }
    buf_printf(out, "{\"net\": \"%s\", \"images\": %" PRId64 ", \"loss\": ", name, s->images);
    buf_printf(out, isfinite(s->loss) ? "%.9g" : "null", s->loss);
    buf_printf(out, ", \"top1\": %.9g, \"top5\": %.9g, \"images_per_second\": %.1f}\n", s->top1,
               s->top5, (double)s->images / s->seconds);
}

int command_eval(Run *r)
{
    Net net;
    TrainData data = {0};
    Validation v = {0};
    Parameters p = {0};
    Score s;
    int64_t batch, threads;
    Buf err = {0}, out = {0};
    if (!cli_int(r->cli, OPT_THREADS, 0, 1024, 0, &threads, &err) ||
        !cli_int(r->cli, OPT_BATCH, 1, 65536, 32, &batch, &err)) {
        front_fail(r, EXIT_USAGE, "%s", err.at != NULL ? err.at : "out of memory");
        buf_free(&err);
        return EXIT_USAGE;
    }
    if (command_format(r) == SUMMARY_CSV)
        return front_fail(r, EXIT_USAGE, "eval prints a line or json, not csv");
    int code = front_open(r, r->cli->operands[0], VERDICTS_SILENT, &net);
    if (code == EXIT_FINE) {
        /* how it would be trained does not matter */
        TrainSpec spec = {.batch = batch};
        code = train_data_open(&data, r, &net, &spec, false);
    }
    if (code == EXIT_FINE)
        code = parameters_open(&p, r, &net, true);
    if (code == EXIT_FINE)
        code = validation_open(&v, r, &net, batch, (int)threads);
    if (code == EXIT_FINE) {
        ParamSource source = parameters_source(&p);
        code = validation_run(&v, r, &data, &source, NULL, &s);
    }
    if (code == EXIT_FINE) {
        print(r, &net, &s, &out);
        code = front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
    }
    validation_close(&v);
    train_data_close(&data);
    parameters_close(&p);
    return code;
}
