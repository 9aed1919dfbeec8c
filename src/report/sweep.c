#include "report/summary.h"
#include <inttypes.h>

static void sweep_table(const char *net, const SweepRow *rows, uint32_t n, Buf *out)
{
    buf_printf(out, "%s\n%10s %10s %12s %13s %14s %10s\n", net, "resolution", "MACs", "activations",
               "unproductive", "underutilized", "saturated");
    for (uint32_t i = 0; i < n; i++) {
        const SweepRow *r = &rows[i];
        buf_printf(out, "%10" PRId64, r->res);
        if (!r->ok) {
            buf_add(out, "  the shapes do not work at this size\n");
            continue;
        }
        Buf macs = {0}, act = {0};
        report_count(&macs, r->macs);
        report_bytes(&act, r->act_peak);
        buf_printf(out, " %10s %12s %13u %14u %10u\n", macs.at, act.at,
                   r->count[VERDICT_UNPRODUCTIVE], r->count[VERDICT_UNDERUTILIZED],
                   r->count[VERDICT_SATURATED]);
        buf_free(&macs);
        buf_free(&act);
    }
}

static void sweep_json(const char *net, const SweepRow *rows, uint32_t n, Buf *out)
{
    buf_add(out, "{\"schema\":1,\"net\":");
    buf_json_string(out, net);
    buf_add(out, ",\"sweep\":[");
    for (uint32_t i = 0; i < n; i++) {
        const SweepRow *r = &rows[i];
        buf_printf(out, "%s\n{\"resolution\":%" PRId64, i ? "," : "", r->res);
        if (r->ok)
            buf_printf(out,
                       ",\"runnable\":true,\"macs\":%" PRId64 ",\"activation_peak_bytes\":%" PRId64
                       ",\"unproductive\":%u,\"underutilized\":%u,\"saturated\":%u}",
                       r->macs, r->act_peak, r->count[VERDICT_UNPRODUCTIVE],
                       r->count[VERDICT_UNDERUTILIZED], r->count[VERDICT_SATURATED]);
        else
            buf_add(out, ",\"runnable\":false,\"macs\":null,\"activation_peak_bytes\":null,"
                         "\"unproductive\":null,\"underutilized\":null,\"saturated\":null}");
    }
    buf_add(out, "]}\n");
}

void report_sweep(const char *net, const SweepRow *rows, uint32_t n, SummaryFormat f, Buf *out)
{
    if (f == SUMMARY_TABLE) {
        sweep_table(net, rows, n, out);
        return;
    }
    if (f == SUMMARY_JSON) {
        sweep_json(net, rows, n, out);
        return;
    }
    buf_add(out, "resolution,runnable,macs,activation_peak_bytes,unproductive,underutilized,"
                 "saturated\n");
    for (uint32_t i = 0; i < n; i++) {
        const SweepRow *r = &rows[i];
        if (r->ok)
            buf_printf(out, "%" PRId64 ",true,%" PRId64 ",%" PRId64 ",%u,%u,%u\n", r->res, r->macs,
                       r->act_peak, r->count[VERDICT_UNPRODUCTIVE], r->count[VERDICT_UNDERUTILIZED],
                       r->count[VERDICT_SATURATED]);
        else
            buf_printf(out, "%" PRId64 ",false,,,,,\n", r->res);
    }
}
