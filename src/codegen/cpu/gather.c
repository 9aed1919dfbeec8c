#include "codegen/cpu/gather.h"
#include <stdlib.h>

enum { GATHER_ENTRIES = 1 << 22 }; /* of a table: more is refused */

/* One axis turned around. Input i is read by outputs [first[i], past[i]); the weight of output o is
 * weight[i * most + o - first[i]], or, with most = 0, weight[o] for every input. */
typedef struct Axis {
    LLVMValueRef first, past, weight; /* constant tables */
    int64_t most;
} Axis;

typedef struct Table {
    int64_t *first, *past;
    double *weight;
    int64_t n, outputs, most, weights;
} Table;

static bool table_open(Table *t, int64_t n, int64_t outputs)
{
    *t = (Table){.n = n, .outputs = outputs};
    if (n > GATHER_ENTRIES || outputs > GATHER_ENTRIES)
        return false;
    t->first = calloc((size_t)n, sizeof *t->first);
    t->past = calloc((size_t)n, sizeof *t->past);
    return t->first != NULL && t->past != NULL;
}

static void table_close(Table *t)
{
    free(t->first);
    free(t->past);
    free(t->weight);
}

/* Fills first and past; whether all weights of an output are equal. */
static bool find_readers(Table *t, const Kernel *k, bool vertical, GatherAxisReads *reads)
{
    bool equal = true;
    for (int64_t o = 0; o < t->outputs; o++) {
        GatherReads r = reads(k, vertical, o);
        equal = equal && (r.hi - r.lo < 2 || r.first == r.rest);
        for (int64_t i = r.lo; i < r.hi; i++) {
            if (t->past[i] == 0)
                t->first[i] = o;
            t->past[i] = o + 1;
        }
    }
    return equal;
}

static bool fill_weights(Table *t, const Kernel *k, bool vertical, GatherAxisReads *reads,
                         bool equal)
{
    for (int64_t i = 0; i < t->n && !equal; i++)
        if (t->past[i] - t->first[i] > t->most)
            t->most = t->past[i] - t->first[i];
    if (t->most > GATHER_ENTRIES / t->n)
        return false;
    t->weights = equal ? t->outputs : t->n * t->most;
    if (t->weights < 1 || t->weights > GATHER_ENTRIES)
        return false;
    t->weight = calloc((size_t)t->weights, sizeof *t->weight);
    if (t->weight == NULL)
        return false;
    for (int64_t o = 0; o < t->outputs; o++) {
        GatherReads r = reads(k, vertical, o);
        if (equal)
            t->weight[o] = r.first;
        for (int64_t i = r.lo; i < r.hi && !equal; i++)
            t->weight[i * t->most + o - t->first[i]] = i == r.lo ? r.first : r.rest;
    }
    return true;
}

static LLVMValueRef constant(Emit *e, LLVMTypeRef type, LLVMValueRef *values, int64_t n)
{
    LLVMTypeRef array = LLVMArrayType2(type, (uint64_t)n);
    LLVMValueRef g = LLVMAddGlobal(e->mod, array, "axis");
    LLVMSetInitializer(g, LLVMConstArray2(type, values, (uint64_t)n));
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetAlignment(g, 8);
    return g;
}

static bool to_constants(Emit *e, const Table *t, Axis *a)
{
    int64_t n = t->n > t->weights ? t->n : t->weights;
    LLVMValueRef *v = calloc((size_t)n, sizeof *v);
    if (v == NULL)
        return false;
    for (int64_t i = 0; i < t->n; i++)
        v[i] = emit_int(e, t->first[i]);
    a->first = constant(e, e->i64, v, t->n);
    for (int64_t i = 0; i < t->n; i++)
        v[i] = emit_int(e, t->past[i]);
    a->past = constant(e, e->i64, v, t->n);
    for (int64_t i = 0; i < t->weights; i++)
        v[i] = emit_real(e->f32, t->weight[i]);
    a->weight = constant(e, e->f32, v, t->weights);
    a->most = t->most;
    free(v);
    return true;
}

static bool axis_open(Kern *kn, bool vertical, GatherAxisReads *reads, Axis *a)
{
    const Kernel *k = kn->k;
    Table t;
    bool ok = table_open(&t, vertical ? k->out.h : k->out.w, vertical ? k->in.h : k->in.w);
    if (ok) {
        bool equal = find_readers(&t, k, vertical, reads);
        ok = fill_weights(&t, k, vertical, reads, equal) && to_constants(kn->e, &t, a);
    }
    table_close(&t);
    return ok || emit_fail(kn->e, "out of memory, or a map too large for its gradient's tables");
}

/* Entry i of a table of whole numbers. */
static LLVMValueRef entry(Emit *e, LLVMValueRef table, LLVMValueRef i)
{
    return LLVMBuildLoad2(e->b, e->i64, LLVMBuildGEP2(e->b, e->i64, table, &i, 1, ""), "");
}

/* Of input i of an axis: its outputs, and where the weight of output 0 would be. */
typedef struct Readers {
    LLVMValueRef first, past, weight;
} Readers;

static Readers readers_of(Emit *e, const Axis *a, LLVMValueRef i)
{
    Readers r = {entry(e, a->first, i), entry(e, a->past, i), a->weight};
    if (a->most > 0)
        r.weight = emit_at(e, a->weight, emit_sub(e, emit_mul(e, i, a->most), r.first));
    return r;
}

/* The sum over the outputs of r: weight times the vector that lies `step` vectors on per output. */
static LLVMValueRef weighted_sum(Emit *e, const Readers *r, LLVMValueRef from, int64_t step)
{
    LLVMValueRef sum = emit_real(e->vec, 0);
    Loop l;
    loop_begin(e, &l, r->first, r->past, 1, false, 1, &sum);
    LLVMValueRef weight = emit_load_splat(e, emit_at(e, r->weight, l.iv));
    LLVMValueRef v = emit_load(e, e->vec, emit_at(e, from, emit_mul(e, l.iv, step * e->vl)));
    sum = emit_fma(e, weight, v, sum);
    loop_end(e, &l, &sum);
    return sum;
}

/* One row of the result: first the rows that read it are added up in the scratch, then the columns
 * of that. */
static void gather_row(Kern *kn, const Axis axes[2], LLVMValueRef block, LLVMValueRef y)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef args[EXPR_MAX_ARGS];
    LLVMValueRef in = emit_at(e, kn->in, emit_mul(e, block, k->in.h * k->in.w * e->vl));
    LLVMValueRef row = emit_mul(e, emit_add(e, emit_mul(e, block, k->out.h), y), k->out.w);
    Readers rows = readers_of(e, &axes[0], y);
    Loop l;
    loop_count(e, &l, k->in.w);
    LLVMValueRef at = emit_mul(e, l.iv, e->vl);
    emit_store(e, weighted_sum(e, &rows, emit_at(e, in, at), k->in.w), emit_at(e, kn->scratch, at));
    loop_end(e, &l, NULL);
    kern_channel_args(kn, emit_mul(e, block, e->vl), args);
    loop_count(e, &l, k->out.w);
    Readers columns = readers_of(e, &axes[1], l.iv);
    LLVMValueRef v = weighted_sum(e, &columns, kn->scratch, 1);
    kern_store(kn, args, v, emit_mul(e, emit_add(e, row, l.iv), e->vl), e->vl);
    loop_end(e, &l, NULL);
}

bool gather_emit(Kern *kn, GatherAxisReads *reads)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    Axis axes[2] = {0};
    if (k->in.layout != LAYOUT_BLOCKED || k->out.layout != LAYOUT_BLOCKED)
        return emit_fail(e, "gradients of means and of upsampling work on blocked maps");
    if (!axis_open(kn, true, reads, &axes[0]) || !axis_open(kn, false, reads, &axes[1]))
        return false;
    int64_t row_blocks = family_row_blocks(k), rb = k->tile.rb > 0 ? k->tile.rb : k->out.h;
    Loop lu, ly;
    loop_begin(e, &lu, kn->begin, kn->end, 1, false, 0, NULL);
    LLVMValueRef r0 = emit_mul(e, emit_rem(e, lu.iv, row_blocks), rb);
    LLVMValueRef r1 = emit_imin(e, emit_add(e, r0, emit_int(e, rb)), emit_int(e, k->out.h));
    loop_begin(e, &ly, r0, r1, 1, true, 0, NULL);
    gather_row(kn, axes, emit_div(e, lu.iv, row_blocks), ly.iv);
    loop_end(e, &ly, NULL);
    loop_end(e, &lu, NULL);
    return true;
}
