/* Sums over the images and positions of a batch, and what is made of them per channel. */
#include "codegen/cpu/sums.h"

/* The product of two counts. */
static LLVMValueRef times(Emit *e, LLVMValueRef a, LLVMValueRef b)
{
    return LLVMBuildMul(e->b, a, b, "");
}

/* The vector at position 0 of image 0 of a channel block of map m. */
static LLVMValueRef pivot(Emit *e, LLVMValueRef map, MapDesc m, LLVMValueRef block)
{
    return emit_load(e, e->vec, emit_at(e, map, emit_mul(e, block, m.h * m.w * e->vl)));
}

/* What a channel block's arguments are for all images. */
static void block_args(Kern *kn, LLVMValueRef block, MapDesc pivot_map,
                       LLVMValueRef args[EXPR_MAX_ARGS])
{
    Emit *e = kn->e;
    LLVMValueRef chan = emit_mul(e, block, e->vl);
    for (int i = 0; i < kn->k->extra_count; i++) {
        if (!kn->uses[i + 1])
            continue;
        if (kn->k->extra[i] == KARG_CHANNEL)
            args[i + 1] = emit_load(e, e->vec, emit_at(e, kn->extra[i], chan));
        else if (kn->k->extra[i] == KARG_PIVOT)
            args[i + 1] = pivot(e, kn->extra[i], pivot_map, block);
    }
}

/* Image n: where maps begin, and gates. */
static void image_args(Kern *kn, SumRange *s, LLVMValueRef block, LLVMValueRef n)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef chan = emit_mul(e, block, e->vl);
    LLVMValueRef first = emit_mul(e, block, k->in.h * k->in.w * e->vl);
    if (kn->uses[0])
        s->map[0] = emit_at(e, kn->in, emit_add(e, emit_mul(e, n, k->in_step), first));
    for (int i = 0; i < k->extra_count; i++) {
        LLVMValueRef image = emit_mul(e, n, k->extra_step[i]);
        if (!kn->uses[i + 1])
            continue;
        if (k->extra[i] == KARG_MAP)
            s->map[i + 1] = emit_at(e, kn->extra[i], emit_add(e, image, first));
        else if (k->extra[i] == KARG_GATE)
            s->args[i + 1] =
                emit_load(e, e->vec, emit_at(e, kn->extra[i], emit_add(e, image, chan)));
    }
}

/* The sums of one slice and channel block. */
static void slice_block(Kern *kn, SumRange *s, LLVMValueRef unit)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t blocks = map_blocks(k->in, e->vl), slices = k->slices;
    LLVMValueRef slice = emit_div(e, unit, blocks), block = emit_rem(e, unit, blocks);
    LLVMValueRef batch = kern_batch(kn), next = emit_add(e, slice, emit_int(e, 1));
    LLVMValueRef total[SUM_VALUES];
    Loop l;
    block_args(kn, block, k->in, s->args);
    total_clear(e->vec, k->root_count, total);
    loop_begin(e, &l, emit_div(e, times(e, batch, slice), slices),
               emit_div(e, times(e, batch, next), slices), 1, false, 2 * k->root_count, total);
    image_args(kn, s, block, l.iv);
    sum_vectors(kn, s, emit_int(e, 0), emit_int(e, k->in.h * k->in.w), total);
    loop_end(e, &l, total);
    LLVMValueRef row = emit_mul(e, slice, k->root_count * blocks);
    LLVMValueRef at = emit_mul(e, emit_add(e, row, block), e->vl);
    for (int r = 0; r < k->root_count; r++)
        emit_store(e, total_value(e, total, r),
                   emit_at(e, kn->out, emit_add(e, at, emit_int(e, r * blocks * e->vl))));
}

bool cpu_sums(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    SumRange s = {0};
    Loop l;
    if (k->in.layout != LAYOUT_BLOCKED || k->root_count < 1 || k->slices < 1)
        return emit_fail(e, "sums over a batch are of blocked maps, in one slice or more");
    kern_fixed_args(kn, e->vec, s.args);
    loop_begin(e, &l, kn->begin, kn->end, 1, false, 0, NULL);
    slice_block(kn, &s, l.iv);
    loop_end(e, &l, NULL);
    return true;
}

/* The terms in use of the vector of channels at float `chan`, over all slices in their order. */
static void term_sums(Kern *kn, int64_t terms, unsigned set, LLVMValueRef chan,
                      LLVMValueRef total[SUM_VALUES])
{
    Emit *e = kn->e;
    int64_t floats = map_blocks(kn->k->out, e->vl) * e->vl;
    Loop l;
    total_clear(e->vec, (int)terms, total);
    loop_begin(e, &l, emit_int(e, 0), emit_int(e, kn->k->slices), 1, false, (int)(2 * terms),
               total);
    LLVMValueRef at = emit_at(e, kn->in, emit_add(e, emit_mul(e, l.iv, terms * floats), chan));
    for (int t = 0; t < terms; t++)
        if (set >> t & 1)
            total_add(e, total, t, emit_load(e, e->vec, emit_at_const(e, at, t * floats)));
    loop_end(e, &l, total);
}

/* The results of a channel block of which `lanes` channels exist. */
static void finish_block(Kern *kn, int64_t terms, unsigned set, LLVMValueRef block, int lanes,
                         LLVMValueRef args[EXPR_MAX_ARGS])
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef total[SUM_VALUES], value[KERNEL_MAX_ROOTS], chan = emit_mul(e, block, e->vl);
    term_sums(kn, terms, set, chan, total);
    block_args(kn, block, k->dy, args);
    args[0] = total_value(e, total, 0);
    for (int i = 0; i < k->extra_count; i++)
        if (kn->uses[i + 1] && k->extra[i] == KARG_TERM)
            args[i + 1] = total_value(e, total, k->hyper[i]);
    kern_roots(kn, e->vec, args, value);
    for (int r = 0; r < k->root_count; r++) {
        LLVMValueRef to = kern_root_target(kn, r);
        if (!to)
            return;
        if (k->out.layout == LAYOUT_BLOCKED)
            emit_store(e, emit_keep(e, value[r], lanes, 0), emit_at(e, to, chan));
        else
            emit_store_part(e, value[r], emit_at(e, to, chan), lanes);
    }
}

bool cpu_finish(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t all = map_blocks(k->out, e->vl), floats = all * e->vl;
    int64_t terms = k->slices > 0 ? k->in.c / (k->slices * floats) : 0;
    int part = (int)(k->out.c % e->vl);
    LLVMValueRef args[EXPR_MAX_ARGS] = {0}, whole = emit_int(e, all - (part > 0));
    unsigned set;
    Loop l;
    if (terms < 1 || terms > KERNEL_MAX_ROOTS || k->slices * terms * floats != k->in.c)
        return emit_fail(e, "these are not the sums of slices");
    if (!sum_terms_used(kn, terms, &set))
        return false;
    kern_fixed_args(kn, e->vec, args);
    loop_begin(e, &l, kn->begin, emit_imin(e, kn->end, whole), 1, false, 0, NULL);
    finish_block(kn, terms, set, l.iv, e->vl, args);
    loop_end(e, &l, NULL);
    if (part) {
        loop_begin(e, &l, emit_imax(e, kn->begin, whole), kn->end, 1, false, 0, NULL);
        finish_block(kn, terms, set, whole, part, args);
        loop_end(e, &l, NULL);
    }
    return true;
}
