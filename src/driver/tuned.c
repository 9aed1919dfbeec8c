#include "driver/tuned.h"
#include "pool.h"

/* Weights of more bytes than this do not wait in a core's caches for the next run. */
enum { NEAR_BYTES = 4 << 20 };

static int how_it_runs(Run *r, const Net *n, TuneHow *how)
{
    Buf err = {0};
    int64_t threads = 0;
    int code = EXIT_FINE;
    if (!cli_int(r->cli, OPT_THREADS, 0, 1024, 0, &threads, &err))
        code = front_fail(r, EXIT_USAGE, "%s", err.at != NULL ? err.at : "out of memory");
    buf_free(&err);
    how->threads = threads > 0 ? (int)threads : cnnrt_pool_default_threads();
    how->far = n->an.params > NEAR_BYTES / (int64_t)sizeof(float);
    return code;
}

int tuned_open(Tuned *x, Run *r, const CodegenApi *api, const Net *n)
{
    char cpu[64];
    *x = (Tuned){.tiles = {tune_find_tile, &x->cache}};
    int code = how_it_runs(r, n, &x->cache.how);
    if (code != EXIT_FINE)
        return code;
    api->host(cpu, sizeof cpu);
    x->path = tune_path(&r->net_arena, cpu,
                        arena_printf(&r->net_arena, "%s-%s", CNNC_VERSION, api->llvm_version));
    if (x->path != NULL)
        (void)tune_read(&x->cache, &r->net_arena, x->path, &x->wrong);
    return EXIT_FINE;
}

const PlanTiles *tuned_tiles(Tuned *x, Run *r, const CodegenApi *api, const Net *n, const Target *t)
{
    *x = (Tuned){0};
    if (cli_has(r->cli, OPT_UNTUNED) || native_foreign(t) != NULL ||
        tuned_open(x, r, api, n) != EXIT_FINE)
        return NULL;
    if (x->wrong != NULL)
        front_note(r, "%s: %s: not used; 'cnnc tune' begins it anew", x->path, x->wrong);
    return x->cache.all.len > 0 ? &x->tiles : NULL;
}

void tuned_report(const Tuned *x, Run *r, const Plan *p, const char *label)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < p->kernels.len; i++)
        count += p->kernels.at[i].tuned;
    if (count > 0 && cli_has(r->cli, OPT_VERBOSE) && (!r->quiet || r->machine))
        front_note(r, "'%s': %u of %u kernels have tiles that were measured: %s", label, count,
                   (unsigned)p->kernels.len, x->path);
}
