/* bench --per-layer: the time of every step against what the machine could do it in. */
#include "driver/bench.h"
#include "driver/limits.h"
#include "plan/work.h"
#include <inttypes.h>

typedef struct LayerRow {
    const char *name, *kernel, *form;
    double seconds, share;
    PlanWork work;
    double compute, memory; /* seconds at the limits; 0: none */
} LayerRow;

static LayerRow row_of(const Bench *b, const BenchTimes *t, const Limits *l, uint32_t i)
{
    const Plan *p = &b->native->plan;
    const Kernel *k = &p->kernels.at[p->steps.at[i].kernel].k;
    LayerRow row = {.name = b->native->model->steps[i].name,
                    .kernel = family_name[k->family],
                    .form = k->family == FAM_CONV && k->tile.winograd > 0 ? "winograd" : "",
                    .seconds = t->steps[i],
                    .work = plan_work(p, i, b->batch)};
    row.compute = l->flops > 0 ? 2 * row.work.macs / l->flops : 0;
    row.memory = l->bytes > 0 ? row.work.bytes / l->bytes : 0;
    return row;
}

static double bound(const LayerRow *r)
{
    return r->compute > r->memory ? r->compute : r->memory;
}

static double all_seconds(const BenchTimes *t)
{
    double sum = 0;
    for (int64_t i = 0; i < t->step_count; i++)
        sum += t->steps[i];
    return sum;
}

static double rate(double work, double seconds)
{
    return seconds > 0 ? 1e-9 * work / seconds : 0;
}

static void print_row(const LayerRow *r, Buf *out)
{
    buf_printf(out, "%-28s %-13s %9.1f %6.1f%%", r->name, r->form[0] != '\0' ? r->form : r->kernel,
               1e6 * r->seconds, 100 * r->share);
    if (r->work.macs > 0)
        buf_printf(out, " %9.1f", rate(2 * r->work.macs, r->seconds));
    else
        buf_printf(out, " %9s", "-");
    buf_printf(out, " %7.1f", rate(r->work.bytes, r->seconds));
    if (bound(r) > 0 && r->seconds > 0)
        buf_printf(out, " %9.1f  %-7s %6.0f%%", 1e6 * bound(r),
                   r->compute >= r->memory ? "compute" : "memory", 100 * bound(r) / r->seconds);
    buf_addc(out, '\n');
}

void bench_layers_table(const Bench *b, const BenchTimes *t, const Limits *l, Buf *out)
{
    const Plan *p = &b->native->plan;
    double all = all_seconds(t), least = 0;
    buf_printf(out, "%-28s %-13s %9s %7s %9s %7s %9s  %-7s %7s\n", "step", "kernel", "us", "share",
               "GFLOP/s", "GB/s", "bound us", "by", "reached");
    for (uint32_t i = 0; i < p->steps.len; i++) {
        LayerRow row = row_of(b, t, l, i);
        row.share = all > 0 ? row.seconds / all : 0;
        least += bound(&row);
        print_row(&row, out);
    }
    buf_printf(
        out,
        "limits, %d thread%s: %.1f GFLOP/s; %.1f GB/s over %.1f MB; at these the steps would "
        "take %.3f ms, %.0f%% reached\n",
        b->threads, b->threads == 1 ? "" : "s", 1e-9 * l->flops, 1e-9 * l->bytes,
        1e-6 * (double)l->over, 1e3 * least, all > 0 ? 100 * least / all : 0);
}

/* A number, or null for what is not known. */
static void json_number(Buf *out, const char *key, const char *form, double v, bool known)
{
    buf_printf(out, ",\"%s\":", key);
    if (!known) {
        buf_add(out, "null");
        return;
    }
    char text[64];
    snprintf(text, sizeof text, form, v);
    buf_add(out, text);
}

static void json_row(const LayerRow *r, Buf *out)
{
    buf_add(out, "{\"name\":");
    buf_json_string(out, r->name);
    buf_printf(out, ",\"kernel\":\"%s\",\"winograd\":%s", r->kernel,
               r->form[0] != '\0' ? "true" : "false");
    json_number(out, "us", "%.3f", 1e6 * r->seconds, true);
    json_number(out, "share", "%.5f", r->share, true);
    json_number(out, "macs", "%.0f", r->work.macs, true);
    json_number(out, "bytes", "%.0f", r->work.bytes, true);
    json_number(out, "compute_us", "%.3f", 1e6 * r->compute, true);
    json_number(out, "memory_us", "%.3f", 1e6 * r->memory, true);
    json_number(out, "reached", "%.4f", r->seconds > 0 ? bound(r) / r->seconds : 0,
                r->seconds > 0 && bound(r) > 0);
    buf_addc(out, '}');
}

void bench_layers_json(const Bench *b, const BenchTimes *t, const Limits *l, Buf *out)
{
    const Plan *p = &b->native->plan;
    double all = all_seconds(t);
    buf_printf(out, ",\"limits\":{\"gflops\":%.3f,\"gbytes_per_s\":%.3f,\"bytes\":%" PRId64 "}",
               1e-9 * l->flops, 1e-9 * l->bytes, l->over);
    buf_add(out, ",\"layers\":[");
    for (uint32_t i = 0; i < p->steps.len; i++) {
        LayerRow row = row_of(b, t, l, i);
        row.share = all > 0 ? row.seconds / all : 0;
        if (i > 0)
            buf_addc(out, ',');
        json_row(&row, out);
    }
    buf_addc(out, ']');
}
