#include "codegen/cpu/kern.h"
#include "cnnrt.h"

typedef bool FamilyEmitter(Kern *kn);

static FamilyEmitter *const emitters[FAM_COUNT] = {
    [FAM_CONV] = cpu_conv,
    [FAM_DEPTHWISE] = cpu_depthwise,
    [FAM_DENSE] = cpu_dense,
    [FAM_POOL] = cpu_pool,
    [FAM_GAP] = cpu_gap,
    [FAM_ELEM] = cpu_elem,
    [FAM_LN] = cpu_ln,
    [FAM_SOFTMAX] = cpu_softmax,
    [FAM_LRN] = cpu_lrn,
    [FAM_COPY] = cpu_copy,
    [FAM_CONVT] = cpu_convt,
    /* training */
    [FAM_PACK] = cpu_pack,
    [FAM_CONV_DW] = cpu_conv_dw,
    [FAM_DEPTHWISE_DW] = cpu_depthwise_dw,
    [FAM_DEPTHWISE_DX] = cpu_depthwise_dx,
    [FAM_POOL_DX] = cpu_pool_dx,
    [FAM_LN_DX] = cpu_ln_dx,
    [FAM_LN_DW] = cpu_ln_dw,
    [FAM_LRN_DX] = cpu_lrn_dx,
    [FAM_SOFTMAX_DX] = cpu_softmax_dx,
    [FAM_LOSS] = cpu_loss,
    [FAM_LOSS_DX] = cpu_loss_dx,
    [FAM_SUMS] = cpu_sums,
    [FAM_FINISH] = cpu_finish,
    [FAM_FLAT_SUMS] = cpu_flat_sums,
    [FAM_FLAT_FINISH] = cpu_flat_finish,
    [FAM_UPDATE] = cpu_update,
    [FAM_MASK] = cpu_mask,
    /* measuring */
    [FAM_PEAK] = cpu_peak,
    [FAM_STREAM] = cpu_stream,
};

static LLVMValueRef load_operand(Emit *e, LLVMValueRef args, int i)
{
    LLVMValueRef index = emit_int(e, i);
    LLVMValueRef slot = LLVMBuildGEP2(e->b, e->ptr, args, &index, 1, "");
    return LLVMBuildLoad2(e->b, e->ptr, slot, "");
}

bool kern_emit(Emit *e, const Kernel *kernel, const char *name)
{
    Kernel copy = roots_normal(kernel);
    const Kernel *k = &copy;
    if ((unsigned)k->family >= FAM_COUNT || !emitters[k->family] ||
        k->extra_count > KERNEL_MAX_EXTRA || k->root_count < 0 || k->root_count > KERNEL_MAX_ROOTS)
        return emit_fail(e, "malformed kernel");
    LLVMTypeRef params[3] = {e->ptr, e->i64, e->i64};
    LLVMValueRef fn = emit_function(e, name, LLVMFunctionType(e->none, params, 3, 0));
    LLVMSetVisibility(fn, LLVMHiddenVisibility);
    LLVMValueRef args = LLVMGetParam(fn, 0);
    Kern kn = {.e = e, .k = k, .begin = LLVMGetParam(fn, 1), .end = LLVMGetParam(fn, 2)};
    kn.out = load_operand(e, args, KERNEL_ARG_OUT);
    kn.in = load_operand(e, args, KERNEL_ARG_IN);
    kn.w = load_operand(e, args, KERNEL_ARG_W);
    kn.bias = load_operand(e, args, KERNEL_ARG_BIAS);
    kn.scratch = load_operand(e, args, KERNEL_ARG_SCRATCH);
    kn.run = load_operand(e, args, KERNEL_ARG_RUN);
    for (int i = 0; i < k->extra_count; i++)
        kn.extra[i] = load_operand(e, args, KERNEL_ARG_EXTRA + i);
    if (!roots_read(e, k, &kn.code, kn.root, kn.uses))
        return false;
    if (!emitters[k->family](&kn) || e->err[0])
        return emit_fail(e, "family %s cannot make this kernel", family_name[k->family]);
    LLVMBuildRetVoid(e->b);
    return true;
}

LLVMValueRef kern_batch(Kern *kn)
{
    return LLVMBuildLoad2(kn->e->b, kn->e->i64, kn->run, "batch");
}

static RootOperands root_operands(const Kern *kn)
{
    return (RootOperands){.out = kn->out, .in = kn->in, .run = kn->run, .extra = kn->extra};
}

void kern_fixed_args(Kern *kn, LLVMTypeRef type, LLVMValueRef args[EXPR_MAX_ARGS])
{
    RootOperands from = root_operands(kn);
    from.batch = kern_batch(kn);
    roots_fixed_args(kn->e, kn->k, kn->uses, from, type, args);
}

void kern_roots(Kern *kn, LLVMTypeRef type, const LLVMValueRef args[EXPR_MAX_ARGS],
                LLVMValueRef value[KERNEL_MAX_ROOTS])
{
    roots_values(kn->e, kn->k, kn->uses, kn->root, type, args, value);
}

LLVMValueRef kern_root_target(Kern *kn, int r)
{
    return roots_target(kn->e, kn->k, root_operands(kn), r);
}

void kern_items(Kern *kn, int64_t n, LLVMValueRef *lo, LLVMValueRef *hi)
{
    Emit *e = kn->e;
    int64_t units = family_units(kn->k, e->t);
    *lo = kn->begin;
    *hi = kn->end;
    if (units == n)
        return;
    *lo = emit_div(e, emit_mul(e, kn->begin, n), units);
    *hi = emit_div(e, emit_mul(e, kn->end, n), units);
}

void kern_positions(Kern *kn, LLVMValueRef *lo, LLVMValueRef *hi)
{
    Emit *e = kn->e;
    int64_t n = kn->k->out.h * kn->k->out.w, rb = kn->k->tile.rb > 0 ? kn->k->tile.rb : n;
    *lo = emit_mul(e, kn->begin, rb);
    *hi = emit_imin(e, emit_mul(e, kn->end, rb), emit_int(e, n));
}

bool kern_vectors_out(const Kernel *k)
{
    return k->out.layout == LAYOUT_BLOCKED || k->out.h * k->out.w == 1;
}

void kern_channel_args(Kern *kn, LLVMValueRef chan, LLVMValueRef args[EXPR_MAX_ARGS])
{
    for (int i = 0; i < kn->k->extra_count; i++)
        if (kn->code.uses[i + 1] && kn->k->extra[i] != KARG_MAP)
            args[i + 1] = emit_load(kn->e, kn->e->vec, emit_at(kn->e, kn->extra[i], chan));
}

void kern_store(Kern *kn, LLVMValueRef args[EXPR_MAX_ARGS], LLVMValueRef v, LLVMValueRef at,
                int lanes)
{
    Emit *e = kn->e;
    args[0] = v;
    for (int i = 0; i < kn->k->extra_count; i++)
        if (kn->code.uses[i + 1] && kn->k->extra[i] == KARG_MAP)
            args[i + 1] = emit_load_part(e, emit_at(e, kn->extra[i], at), lanes);
    v = expr_emit(e, &kn->code, e->vec, args);
    emit_store_part(e, v, emit_at(e, kn->out, at), lanes);
}

/* A vector several times over. */
static LLVMValueRef repeat(Emit *e, LLVMValueRef v, int times)
{
    LLVMValueRef lane[KERN_GROUP * 16];
    int n = e->vl * times;
    for (int i = 0; i < n; i++)
        lane[i] = LLVMConstInt(e->i32, (unsigned)(i % e->vl), 0);
    LLVMValueRef mask = LLVMConstVector(lane, (unsigned)n);
    return LLVMBuildShuffleVector(e->b, v, LLVMGetPoison(e->vec), mask, "");
}

/* Returns what was stored. */
static LLVMValueRef store_group(Kern *kn, LLVMValueRef args[EXPR_MAX_ARGS], LLVMValueRef v,
                                LLVMValueRef at, int n)
{
    Emit *e = kn->e;
    LLVMTypeRef type = LLVMTypeOf(v);
    LLVMValueRef wide[EXPR_MAX_ARGS] = {v};
    for (int i = 0; i < kn->k->extra_count; i++) {
        if (!kn->code.uses[i + 1])
            continue;
        if (kn->k->extra[i] == KARG_MAP)
            wide[i + 1] = emit_load(e, type, emit_at(e, kn->extra[i], at));
        else
            wide[i + 1] = n == 1 ? args[i + 1] : repeat(e, args[i + 1], n);
    }
    v = expr_emit(e, &kn->code, type, wide);
    emit_store(e, v, emit_at(e, kn->out, at));
    return v;
}

/* Adds groups of `size` vectors, already added up to v, to the sum. */
static void add_to_sum(Kern *kn, LLVMValueRef v, int size)
{
    Emit *e = kn->e;
    LLVMValueRef sum = emit_load(e, e->vec, kn->sum), lane[16];
    for (int part = 0; part < size; part++) {
        for (int i = 0; i < e->vl; i++)
            lane[i] = LLVMConstInt(e->i32, (unsigned)(part * e->vl + i), 0);
        LLVMValueRef mask = LLVMConstVector(lane, (unsigned)e->vl);
        LLVMValueRef one = LLVMBuildShuffleVector(e->b, v, LLVMGetPoison(LLVMTypeOf(v)), mask, "");
        sum = emit_fadd(e, sum, one);
    }
    emit_store(e, sum, kn->sum);
}

static LLVMTypeRef group_type(Emit *e, int n)
{
    return LLVMVectorType(e->f32, (unsigned)(e->vl * n));
}

/* The largest group that fits in n: a power of two. */
static int group_of(int n)
{
    int size = KERN_GROUP;
    while (size > n)
        size /= 2;
    return size;
}

void kern_store_run(Kern *kn, LLVMValueRef args[EXPR_MAX_ARGS], LLVMValueRef from, LLVMValueRef at,
                    int n)
{
    Emit *e = kn->e;
    int done = n / KERN_GROUP * KERN_GROUP;
    if (done) {
        Loop l;
        loop_begin(e, &l, emit_int(e, 0), emit_int(e, done), KERN_GROUP, true, 0, NULL);
        LLVMValueRef off = emit_mul(e, l.iv, e->vl);
        LLVMValueRef v = emit_load(e, group_type(e, KERN_GROUP), emit_at(e, from, off));
        store_group(kn, args, v, emit_add(e, at, off), KERN_GROUP);
        loop_end(e, &l, NULL);
    }
    for (int size; done < n; done += size) {
        size = group_of(n - done);
        LLVMValueRef off = emit_int(e, done * e->vl);
        LLVMValueRef v = emit_load(e, group_type(e, size), emit_at(e, from, off));
        store_group(kn, args, v, emit_add(e, at, off), size);
    }
}

void kern_store_row(Kern *kn, LLVMValueRef args[EXPR_MAX_ARGS], const LLVMValueRef *v,
                    LLVMValueRef at, int n)
{
    Emit *e = kn->e;
    LLVMValueRef total = NULL; /* of whole groups */
    for (int done = 0, size; done < n; done += size) {
        size = group_of(n - done);
        LLVMValueRef part[KERN_GROUP];
        for (int i = 0; i < size; i++)
            part[i] = v[done + i];
        for (int left = size; left > 1; left /= 2)
            for (int i = 0; i < left / 2; i++)
                part[i] = emit_concat(e, part[2 * i], part[2 * i + 1]);
        LLVMValueRef stored =
            store_group(kn, args, part[0], emit_add(e, at, emit_int(e, done * e->vl)), size);
        if (kn->sum && size < KERN_GROUP)
            add_to_sum(kn, stored, size);
        else if (kn->sum)
            total = total ? emit_fadd(e, total, stored) : stored;
    }
    if (total)
        add_to_sum(kn, total, KERN_GROUP);
}

void kern_store_one(Kern *kn, LLVMValueRef v, LLVMValueRef at, LLVMValueRef chan)
{
    Emit *e = kn->e;
    LLVMValueRef args[EXPR_MAX_ARGS] = {v};
    for (int i = 0; i < kn->k->extra_count; i++) {
        if (!kn->code.uses[i + 1])
            continue;
        LLVMValueRef place = kn->k->extra[i] == KARG_MAP ? at : chan;
        args[i + 1] = emit_load(e, e->f32, emit_at(e, kn->extra[i], place));
    }
    emit_store(e, expr_emit(e, &kn->code, e->f32, args), emit_at(e, kn->out, at));
}

LLVMValueRef kern_place(Emit *e, MapDesc m, LLVMValueRef c, LLVMValueRef pixel)
{
    if (m.layout == LAYOUT_PLANAR)
        return emit_add(e, emit_mul(e, c, m.h * m.w), pixel);
    LLVMValueRef block = emit_div(e, c, e->vl), lane = emit_rem(e, c, e->vl);
    LLVMValueRef p = emit_add(e, emit_mul(e, block, m.h * m.w), pixel);
    return emit_add(e, emit_mul(e, p, e->vl), lane);
}
