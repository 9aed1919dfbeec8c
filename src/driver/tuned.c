#include "driver/tuned.h"
#include "driver/gpu.h"
#include "pool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* Batches that a GPU's tiles are for: the largest of what build makes, those that are run. */
static int batch_it_runs(Run *r, TuneHow *how)
{
    enum { MAX_BATCH = 8, MOST = 4096 };
    Buf err = {0};
    int64_t batch = 0;
    Command c = r->cli->command;
    bool fine = c == CMD_BUILD  ? cli_int(r->cli, OPT_MAX_BATCH, 1, MOST, MAX_BATCH, &batch, &err)
                : c == CMD_TUNE ? cli_int(r->cli, OPT_BATCH, 1, MOST, MAX_BATCH, &batch, &err)
                                : cli_int(r->cli, OPT_BATCH, 1, MOST, 1, &batch, &err);
    int code = EXIT_FINE;
    if (!fine)
        code = front_fail(r, EXIT_USAGE, "%s", err.at != NULL ? err.at : "out of memory");
    buf_free(&err);
    *how = (TuneHow){.batch = (int)batch};
    return code;
}

/* The file of what was measured: on this processor, or on the GPU that is here. */
static int find_file(Tuned *x, Run *r, const CodegenApi *api, const Target *t)
{
    char name[320];
    const char *given = getenv("CNNC_TILES");
    int code = EXIT_FINE;
    if (t->kind == TARGET_CUDA && given != NULL && *given != '\0') {
        x->path = given;
        return code;
    }
    if (t->kind == TARGET_CUDA)
        code = gpu_name(r, name, sizeof name);
    else
        api->host(name, sizeof name);
    if (code == EXIT_FINE)
        x->path = tune_path(&r->net_arena, name,
                            arena_printf(&r->net_arena, "%s-%s", CNNC_VERSION, api->llvm_version));
    return code;
}

int tuned_open(Tuned *x, Run *r, const CodegenApi *api, const Net *n, const Target *t)
{
    *x = (Tuned){.tiles = {tune_find_tile, &x->cache}};
    int code =
        t->kind == TARGET_CUDA ? batch_it_runs(r, &x->cache.how) : how_it_runs(r, n, &x->cache.how);
    if (code == EXIT_FINE)
        code = find_file(x, r, api, t);
    if (code != EXIT_FINE)
        return code;
    if (x->path != NULL && x->path == getenv("CNNC_TILES") && access(x->path, R_OK) != 0)
        x->wrong = strerror(errno);
    else if (x->path != NULL)
        (void)tune_read(&x->cache, &r->net_arena, x->path, &x->wrong);
    return EXIT_FINE;
}

const PlanTiles *tuned_tiles(Tuned *x, Run *r, const CodegenApi *api, const Net *n, const Target *t)
{
    *x = (Tuned){0};
    if (cli_has(r->cli, OPT_UNTUNED) || native_foreign(t) != NULL ||
        (t->kind == TARGET_CUDA && getenv("CNNC_TILES") == NULL && !gpu_is_here()) ||
        tuned_open(x, r, api, n, t) != EXIT_FINE)
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
