#include "codegen/pieces.h"
#include "codegen/cpu/kern.h"
#include "codegen/cuda/kern.h"
#include "codegen/llvm/machine.h"
#include "codegen/model.h"
#include "codegen/target.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_PIECES = 96, MOST_THREADS = 64, LAYOUT_TEXT = 512, WORKER_STACK = 32 << 20 };

typedef struct Batch {
    const Plan *p;
    const EmitOptions *o;
    EmitResult *out;
    bool wrappers;
    uint32_t per_piece; /* kernels */
    int kernel_pieces;  /* after them comes the model */
    pthread_mutex_t lock;
    int next, done;
    char *err;
    size_t err_len;
    int failed; /* smallest piece that failed, or -1: the message is its */
} Batch;

static bool name_kernel(char *out, size_t len, const EmitOptions *o, uint32_t i)
{
    return (size_t)snprintf(out, len, "%s_k%u", o->prefix, i) < len;
}

static bool add_kernel(Emit *e, const Plan *p, const EmitOptions *o, uint32_t i)
{
    char name[300];
    if (!name_kernel(name, sizeof name, o, i))
        return emit_fail(e, "the prefix is too long");
    const Kernel *k = &p->kernels.at[i].k;
    return p->target.kind == TARGET_CUDA ? cuda_emit(e, k, name) : kern_emit(e, k, name);
}

/* One object, in a context of its own. */
static bool make_piece(Batch *b, int piece, LLVMTargetMachineRef m, const char *layout, char *err,
                       size_t err_len)
{
    Emit e;
    char module[300];
    bool is_model = piece == b->kernel_pieces, ok = true;
    if (is_model)
        snprintf(module, sizeof module, "%s", b->o->prefix);
    else
        snprintf(module, sizeof module, "%s_%d", b->o->prefix, piece);
    emit_open(&e, &b->p->target, module, layout);
    if (is_model)
        ok = model_emit(&e, b->p, b->o, b->wrappers, false);
    uint32_t first = (uint32_t)piece * b->per_piece;
    for (uint32_t i = first; !is_model && ok && i < first + b->per_piece; i++)
        ok = i >= b->p->kernels.len || add_kernel(&e, b->p, b->o, i);
    ok = ok && machine_write(m, &e, EMIT_OBJECT, &b->out->pieces[piece]);
    if (!ok)
        snprintf(err, err_len, "%s", e.err);
    emit_close(&e);
    return ok;
}

static void *work(void *arg)
{
    Batch *b = arg;
    char err[512] = "", layout[LAYOUT_TEXT];
    LLVMTargetMachineRef m = machine_open(&b->p->target, err, sizeof err);
    if (m)
        machine_layout(m, layout, sizeof layout);
    for (;;) {
        pthread_mutex_lock(&b->lock);
        int piece = b->failed < 0 && b->next < b->out->count ? b->next++ : -1;
        pthread_mutex_unlock(&b->lock);
        if (piece < 0)
            break;
        bool ok = m && make_piece(b, piece, m, layout, err, sizeof err);
        pthread_mutex_lock(&b->lock);
        if (!ok && (b->failed < 0 || piece < b->failed)) {
            b->failed = piece;
            snprintf(b->err, b->err_len, "%s", err);
        }
        b->done++;
        if (b->o->progress)
            b->o->progress(b->o->progress_ctx, b->done, b->out->count);
        pthread_mutex_unlock(&b->lock);
    }
    if (m)
        LLVMDisposeTargetMachine(m);
    return NULL;
}

/* This thread works too; fewer helpers than asked for is no error. */
static void run_threads(Batch *b)
{
    pthread_t thread[MOST_THREADS];
    pthread_attr_t attr;
    long jobs = b->o->jobs > 0 ? b->o->jobs : sysconf(_SC_NPROCESSORS_ONLN);
    if (jobs > b->out->count)
        jobs = b->out->count;
    if (jobs > MOST_THREADS)
        jobs = MOST_THREADS;
    int started = 0;
    if (pthread_attr_init(&attr) == 0) {
        pthread_attr_setstacksize(&attr, WORKER_STACK);
        while (started + 1 < jobs && pthread_create(&thread[started], &attr, work, b) == 0)
            started++;
        pthread_attr_destroy(&attr);
    }
    work(b);
    for (int i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
}

static bool allocate(EmitResult *out, int count, char *err, size_t err_len)
{
    out->pieces = calloc((size_t)count, sizeof *out->pieces);
    out->count = out->pieces ? count : 0;
    if (!out->pieces)
        snprintf(err, err_len, "out of memory");
    return out->pieces != NULL;
}

typedef bool Fill(Emit *e, const Plan *p, const EmitOptions *o, bool wrappers);

/* A module of its own, filled and written as the only piece. */
static bool one_piece(const Target *t, EmitKind kind, const Plan *p, const EmitOptions *o,
                      Fill *fill, bool wrappers, EmitResult *out, char *err, size_t err_len)
{
    char layout[LAYOUT_TEXT];
    LLVMTargetMachineRef m = machine_open(t, err, err_len);
    if (!m || !allocate(out, 1, err, err_len)) {
        if (m)
            LLVMDisposeTargetMachine(m);
        return false;
    }
    machine_layout(m, layout, sizeof layout);
    Emit e;
    emit_open(&e, t, o->prefix, layout);
    bool ok = fill(&e, p, o, wrappers) && machine_write(m, &e, kind, &out->pieces[0]);
    if (!ok)
        snprintf(err, err_len, "%s", e.err);
    emit_close(&e);
    LLVMDisposeTargetMachine(m);
    if (!ok)
        pieces_free(out);
    return ok;
}

static bool fill_model(Emit *e, const Plan *p, const EmitOptions *o, bool wrappers)
{
    return model_emit(e, p, o, wrappers, false);
}

/* The host's part of a plan for a device: its model, which carries the kernels' code. */
static bool host_object(const Plan *p, const EmitOptions *o, bool wrappers, EmitResult *out,
                        char *err, size_t err_len)
{
    if (o->host == NULL) {
        snprintf(err, err_len, "objects for %s need a host", p->target.cpu);
        return false;
    }
    Target base = target_least(o->host);
    return one_piece(&base, EMIT_OBJECT, p, o, fill_model, wrappers, out, err, err_len);
}

bool pieces_objects(const Plan *p, const EmitOptions *o, bool wrappers, EmitResult *out, char *err,
                    size_t err_len)
{
    Batch b = {.p = p, .o = o, .out = out, .wrappers = wrappers, .failed = -1};
    uint32_t n = p->kernels.len;
    b.per_piece = (n + MOST_PIECES - 1) / MOST_PIECES;
    if (b.per_piece == 0)
        b.per_piece = 1;
    b.kernel_pieces = (int)((n + b.per_piece - 1) / b.per_piece);
    b.err = err;
    b.err_len = err_len;
    machine_init();
    if (p->target.kind == TARGET_CUDA)
        return host_object(p, o, wrappers, out, err, err_len);
    if (!allocate(out, b.kernel_pieces + 1, err, err_len))
        return false;
    pthread_mutex_init(&b.lock, NULL);
    run_threads(&b);
    pthread_mutex_destroy(&b.lock);
    if (b.failed >= 0)
        pieces_free(out);
    return b.failed < 0;
}

static bool add_kernels(Emit *e, const Plan *p, const EmitOptions *o)
{
    for (uint32_t i = 0; i < p->kernels.len; i++)
        if (!add_kernel(e, p, o, i))
            return false;
    return true;
}

static bool fill_text(Emit *e, const Plan *p, const EmitOptions *o, bool wrappers)
{
    EmitOptions step = *o;
    step.prefix = o->step_prefix;
    return add_kernels(e, p, o) &&
           /* a GPU has kernels alone: what launches them is the host's */
           (p->target.kind == TARGET_CUDA || model_emit(e, p, o, wrappers, true)) &&
           (o->step == NULL || add_kernels(e, o->step, &step));
}

bool pieces_text(const Plan *p, EmitKind kind, const EmitOptions *o, EmitResult *out, char *err,
                 size_t err_len)
{
    return one_piece(&p->target, kind, p, o, fill_text, true, out, err, err_len);
}

void pieces_free(EmitResult *r)
{
    for (int i = 0; i < r->count; i++)
        free(r->pieces[i].data);
    free(r->pieces);
    *r = (EmitResult){0};
}
