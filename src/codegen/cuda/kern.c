#include "codegen/cuda/round.h"
#include "codegen/llvm/nvptx_bulk.h"
#include "cnnrt.h"

typedef bool FamilyEmitter(CudaKern *kn);

static FamilyEmitter *const emitters[FAM_COUNT] = {
    [FAM_CONV] = cuda_conv,
    [FAM_CONVT] = cuda_conv,
    [FAM_DEPTHWISE] = cuda_depthwise,
    [FAM_DENSE] = cuda_dense,
    [FAM_POOL] = cuda_pool,
    [FAM_GAP] = cuda_gap,
    [FAM_ELEM] = cuda_elem,
    [FAM_LN] = cuda_ln,
    [FAM_SOFTMAX] = cuda_softmax,
    [FAM_LRN] = cuda_lrn,
    [FAM_COPY] = cuda_copy,
    [FAM_PACK] = cuda_pack,
    [FAM_CONV_DW] = cuda_conv_dw,
    [FAM_DEPTHWISE_DW] = cuda_depthwise_dw,
    [FAM_DEPTHWISE_DX] = cuda_depthwise_dx,
    [FAM_POOL_DX] = cuda_pool_dx,
    [FAM_LN_DX] = cuda_ln_dx,
    [FAM_LN_DW] = cuda_ln_dw,
    [FAM_LRN_DX] = cuda_lrn_dx,
    [FAM_SOFTMAX_DX] = cuda_softmax_dx,
    [FAM_LOSS] = cuda_loss,
    [FAM_LOSS_DX] = cuda_loss_dx,
    [FAM_MASK] = cuda_mask,
    [FAM_SUMS] = cuda_sums,
    [FAM_FINISH] = cuda_finish_sums,
    [FAM_FLAT_SUMS] = cuda_flat_sums,
    [FAM_FLAT_FINISH] = cuda_flat_finish,
    [FAM_UPDATE] = cuda_update,
    [FAM_PEAK] = cuda_peak,
    [FAM_STREAM] = cuda_stream,
};

static FamilyEmitter *emitter_of(const Kernel *k)
{
    bool packed = k->family == FAM_CONV || k->family == FAM_CONVT || k->family == FAM_DENSE;
    return packed && cuda_on_matrix_units(k) ? cuda_mma : emitters[k->family];
}

/* The operands that lie where results go may be the results' own memory (family_in_place). */
static bool never_written(const Kernel *k, int arg)
{
    if (arg == KERNEL_ARG_OUT || (k->root_count > 0 && !cuda_contraction(k)))
        return false;
    if (arg == KERNEL_ARG_IN)
        return k->family != FAM_ELEM && k->family != FAM_MASK;
    if (arg < KERNEL_ARG_EXTRA)
        return true;
    ArgKind kind = k->extra[arg - KERNEL_ARG_EXTRA];
    return kind != KARG_MAP && kind != KARG_RESULT;
}

/* Outputs and inputs of networks are the caller's, floats like any others. */
static unsigned alignment(const Kernel *k, int arg)
{
    bool planar = (arg == KERNEL_ARG_OUT && k->out.layout == LAYOUT_PLANAR) ||
                  (arg == KERNEL_ARG_IN && k->in.layout == LAYOUT_PLANAR);
    return planar ? 4 : 16;
}

/* Registers that a thread should have: those of its sums, of inputs on their way through it
 * (mma.c), and as many again as the largest tile's operands and addresses need. Where a map has no
 * more channels than a vector, each one on its way is another tap with an address of its own. */
static int registers_wanted(const Kernel *k, int vl)
{
    enum { BESIDE_SUMS = 64, BESIDE_BOTH = 48, OF_GATES = 16, OF_ADDRESS = 4 };
    const CudaTile *c = &k->tile.cuda;
    if (!cuda_on_matrix_units(k))
        return c->tm * c->tn + BESIDE_SUMS + (k->gate_arg >= 0 ? OF_GATES : 0);
    int sums = c->m * c->n / c->threads;
    if (k->family == FAM_CONV_DW)
        return sums + BESIDE_SUMS + (cuda_dw_copies(k) ? 0 : (c->m + c->n) * c->k / c->threads);
    if (!cuda_inputs_pass(k))
        return sums + BESIDE_SUMS;
    int passing = c->m * c->k / c->threads; /* a gate beside each */
    int taps = k->in.c <= vl ? passing / 2 + OF_ADDRESS : 0;
    return sums + BESIDE_BOTH + passing + taps + (k->gate_arg >= 0 ? passing + OF_ADDRESS : 0);
}

/* Blocks that a multiprocessor shall hold, so that a thread gets its registers and no more. Each of
 * its four parts has registers of its own, for whole warps. Where shared memory has room for fewer,
 * threads may have more registers. */
static int blocks_wanted(const CudaKern *kn)
{
    enum { PARTS = 4, REGISTERS = 16384 };
    const CudaTile *c = &kn->k->tile.cuda;
    if (c->m == 0 || !cuda_contraction(kn->k))
        return 0;
    int warps = PARTS * (REGISTERS / (NVPTX_WARP * registers_wanted(kn->k, kn->e->t->vl)));
    int blocks = warps * NVPTX_WARP / c->threads;
    int64_t room = launch_shared(&kn->launch)
                       ? kn->e->t->shared / (kn->launch.shared + CUDA_SYSTEM_SHARED)
                       : blocks;
    return room < blocks ? (int)room : blocks;
}

static void open_function(CudaKern *kn, const char *name)
{
    Emit *e = kn->e;
    LLVMTypeRef params[KERNEL_ARGS + 3], global = nvptx_pointer(e, NVPTX_GLOBAL);
    int arg[KERNEL_ARGS];
    unsigned n = 0;
    for (int i = 0; i < KERNEL_ARGS; i++)
        if (kernel_has_arg(kn->k, e->t, i)) {
            params[n] = global;
            arg[n++] = i;
        }
    params[n] = e->i32;
    bool run = kernel_reads_run(kn->k), tensor = kn->launch.in.channels > 0;
    params[n + 1] = global;
    params[n + 1 + run] = e->ptr;
    LLVMValueRef fn =
        nvptx_kernel(e, name, params, n + 1 + run + tensor, kn->launch.threads, blocks_wanted(kn));
    for (unsigned i = 0; i < n; i++) {
        LLVMValueRef p = LLVMGetParam(fn, i);
        nvptx_param(e, fn, i, alignment(kn->k, arg[i]), never_written(kn->k, arg[i]));
        if (arg[i] >= KERNEL_ARG_EXTRA)
            kn->extra[arg[i] - KERNEL_ARG_EXTRA] = p;
        else
            *(LLVMValueRef *[]){&kn->out, &kn->in, &kn->w, &kn->bias}[arg[i]] = p;
    }
    kn->batch = LLVMGetParam(fn, n);
    kn->run = run ? LLVMGetParam(fn, n + 1) : NULL;
    if (tensor) {
        kn->tensor = LLVMGetParam(fn, n + 1 + run);
        nvptx_param_constant(e, fn, n + 1 + run, NVPTX_TENSOR, NVPTX_TENSOR_ALIGN);
    }
}

bool cuda_emit(Emit *e, const Kernel *kernel, const char *name)
{
    Kernel k = roots_normal(kernel);
    if ((unsigned)k.family >= FAM_COUNT || k.extra_count > KERNEL_MAX_EXTRA || k.root_count < 0 ||
        k.root_count > KERNEL_MAX_ROOTS)
        return emit_fail(e, "malformed kernel");
    if (!emitter_of(&k))
        return emit_fail(e, "family %s has no GPU kernel yet", family_name[k.family]);
    CudaKern kn = {.e = e, .k = &k, .launch = family_launch(&k, e->t)};
    open_function(&kn, name);
    kn.thread = nvptx_register(e, "tid.x");
    kn.block = nvptx_register(e, "ctaid.x");
    kn.row = kn.launch.rows > 1 ? nvptx_register(e, "ctaid.y") : cuda_int(&kn, 0);
    kn.in_pixel = map_pixel(k.in, e->vl, k.in_pixel);
    kn.out_pixel = map_pixel(k.out, e->vl, k.out_pixel);
    if (!roots_read(e, &k, &kn.code, kn.root, kn.uses))
        return false;
    FamilyEmitter *emitter = emitter_of(&k);
    if (!emitter(&kn) || e->err[0])
        return emit_fail(e, "family %s cannot make this kernel", family_name[k.family]);
    LLVMBuildRetVoid(e->b);
    return true;
}

LLVMValueRef cuda_int(const CudaKern *kn, int64_t v)
{
    return LLVMConstInt(kn->e->i32, (unsigned long long)v, 1);
}

LLVMValueRef cuda_and(const CudaKern *kn, LLVMValueRef a, LLVMValueRef b)
{
    return !a ? b : !b ? a : LLVMBuildAnd(kn->e->b, a, b, "");
}

LLVMValueRef cuda_inside(const CudaKern *kn, LLVMValueRef i, int64_t n)
{
    return LLVMBuildICmp(kn->e->b, LLVMIntULT, i, cuda_int(kn, n), "");
}

LLVMValueRef cuda_image(const CudaKern *kn, LLVMValueRef p, LLVMValueRef image, int64_t step)
{
    Emit *e = kn->e;
    if (step == 0)
        return p;
    return emit_at(e, p, emit_mul(e, LLVMBuildSExt(e->b, image, e->i64, ""), step));
}

LLVMValueRef cuda_split(const CudaKern *kn, LLVMValueRef i, int64_t by, LLVMValueRef *rest)
{
    LLVMValueRef q = emit_div(kn->e, i, by);
    *rest = by == 1 ? cuda_int(kn, 0) : emit_sub(kn->e, i, emit_mul(kn->e, q, by));
    return q;
}

LLVMValueRef cuda_item(const CudaKern *kn, If *guard)
{
    Emit *e = kn->e;
    LLVMValueRef i = emit_add(e, emit_mul(e, kn->block, kn->launch.threads), kn->thread);
    if_begin(e, guard, emit_less(e, i, emit_mul(e, kn->batch, kn->launch.items)));
    return i;
}

Spot cuda_spot(const CudaKern *kn, LLVMValueRef item, int64_t blocks)
{
    LLVMValueRef block;
    Spot s;
    LLVMValueRef rest = cuda_split(kn, item, blocks, &block);
    s.image = cuda_split(kn, rest, kn->k->out.h * kn->k->out.w, &s.pixel);
    s.chan = emit_mul(kn->e, block, kn->e->vl);
    return s;
}

LLVMValueRef cuda_load(const CudaKern *kn, LLVMValueRef p)
{
    LLVMValueRef v = LLVMBuildLoad2(kn->e->b, kn->e->vec, p, "");
    LLVMSetAlignment(v, 16);
    return v;
}

void cuda_store(const CudaKern *kn, LLVMValueRef v, LLVMValueRef p)
{
    LLVMSetAlignment(LLVMBuildStore(kn->e->b, v, p), 16);
}

LLVMValueRef cuda_load_if(const CudaKern *kn, LLVMTypeRef type, LLVMValueRef valid, LLVMValueRef p,
                          LLVMValueRef base, double other)
{
    Emit *e = kn->e;
    if (valid)
        p = emit_select(e, valid, p, base);
    LLVMValueRef v = type == e->vec ? cuda_load(kn, p) : emit_load(e, type, p);
    return valid ? emit_select(e, valid, v, emit_real(type, other)) : v;
}

typedef LLVMValueRef Combine(Emit *e, LLVMValueRef a, LLVMValueRef b);

static LLVMValueRef over_warp(const CudaKern *kn, LLVMValueRef v, Combine *combine)
{
    for (int lanes = NVPTX_WARP / 2; lanes > 0; lanes /= 2)
        v = combine(kn->e, v, nvptx_shuffle_xor(kn->e, v, lanes));
    return v;
}

LLVMValueRef cuda_warp_sum(const CudaKern *kn, LLVMValueRef v)
{
    return over_warp(kn, v, emit_fadd);
}

LLVMValueRef cuda_warp_max(const CudaKern *kn, LLVMValueRef v)
{
    return over_warp(kn, v, emit_fmax);
}

LLVMValueRef cuda_shuffle(const CudaKern *kn, LLVMValueRef v, int lanes)
{
    Emit *e = kn->e;
    LLVMValueRef all = LLVMGetPoison(e->vec);
    for (int i = 0; i < e->vl; i++)
        all = emit_set_lane(e, all, nvptx_shuffle_xor(e, emit_lane(e, v, i), lanes), i);
    return all;
}

LLVMValueRef cuda_block_sum(const CudaKern *kn, LLVMValueRef *v, int n)
{
    enum { CLASSES = 8 };
    Emit *e = kn->e;
    int warps = kn->launch.threads / NVPTX_WARP;
    LLVMValueRef shared = nvptx_shared(e, (int64_t)warps * CLASSES * n * e->vl);
    for (int i = 0; i < n; i++)
        for (int lanes = CLASSES; lanes < NVPTX_WARP; lanes *= 2)
            v[i] = emit_fadd(e, v[i], cuda_shuffle(kn, v[i], lanes));
    LLVMValueRef lane, warp = cuda_split(kn, kn->thread, NVPTX_WARP, &lane);
    If first;
    if_begin(e, &first, emit_less(e, lane, cuda_int(kn, CLASSES)));
    for (int i = 0; i < n; i++) {
        LLVMValueRef at = emit_add(e, emit_mul(e, warp, CLASSES * n), lane);
        at = emit_mul(e, emit_add(e, at, cuda_int(kn, (int64_t)i * CLASSES)), e->vl);
        cuda_store(kn, v[i], emit_at(e, shared, at));
    }
    if_end(e, &first);
    nvptx_barrier(e);
    LLVMValueRef mine = emit_rem(e, kn->thread, CLASSES * n), sum = NULL;
    for (int w = 0; w < warps; w++) {
        LLVMValueRef at = emit_add(e, mine, cuda_int(kn, (int64_t)w * CLASSES * n));
        LLVMValueRef part = cuda_load(kn, emit_at(e, shared, emit_mul(e, at, e->vl)));
        sum = sum ? emit_fadd(e, sum, part) : part;
    }
    return sum;
}

/* The epilogue's arguments beside the first, of a type. */
static void arguments(const CudaKern *kn, LLVMTypeRef type, Spot s,
                      LLVMValueRef args[EXPR_MAX_ARGS])
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    for (int i = 0; i < k->extra_count; i++) {
        if (k->extra[i] == KARG_RESULT || !(kn->code.uses[i + 1] || kn->uses[i + 1]))
            continue;
        int arg = KERNEL_ARG_EXTRA + i;
        int64_t pixel = k->extra[i] == KARG_MAP ? map_pixel(k->out, e->vl, k->extra_pixel[i]) : 0;
        LLVMValueRef p = cuda_place(kn, arg, pixel, s);
        args[i + 1] = cuda_map_load_as(kn, arg, type, p);
    }
}

/* Of a planar output, floats past the last channel are another's. */
static void store_planar(const CudaKern *kn, LLVMValueRef v, Spot s)
{
    Emit *e = kn->e;
    const MapDesc *m = &kn->k->out;
    LLVMValueRef p = cuda_image(kn, kn->out, s.image, kn->k->out_step);
    for (int i = 0; i < e->vl; i++) {
        LLVMValueRef chan = emit_add(e, s.chan, cuda_int(kn, i));
        If there;
        if (m->c % e->vl)
            if_begin(e, &there, emit_less(e, chan, cuda_int(kn, m->c)));
        LLVMValueRef at = emit_add(e, emit_mul(e, chan, m->h * m->w), s.pixel);
        emit_store(e, emit_lane(e, v, i), emit_at(e, p, at));
        if (m->c % e->vl)
            if_end(e, &there);
    }
}

LLVMValueRef cuda_finish_with(const CudaKern *kn, LLVMValueRef v, Spot s,
                              LLVMValueRef args[EXPR_MAX_ARGS])
{
    args[0] = v;
    arguments(kn, kn->e->vec, s, args);
    v = expr_emit(kn->e, &kn->code, kn->e->vec, args);
    if (kn->k->out.layout == LAYOUT_PLANAR)
        store_planar(kn, v, s);
    else
        cuda_map_store(kn, v, cuda_place(kn, KERNEL_ARG_OUT, kn->out_pixel, s));
    return cuda_is_narrow(kn->k, KERNEL_ARG_OUT) ? cuda_as_bf16(kn, v) : v;
}

void cuda_finish(const CudaKern *kn, LLVMValueRef v, Spot s)
{
    LLVMValueRef args[EXPR_MAX_ARGS] = {0};
    cuda_finish_with(kn, v, s, args);
}

void cuda_finish_one(const CudaKern *kn, LLVMValueRef v, Spot s)
{
    LLVMValueRef args[EXPR_MAX_ARGS] = {v};
    arguments(kn, kn->e->f32, s, args);
    v = expr_emit(kn->e, &kn->code, kn->e->f32, args);
    cuda_map_store(kn, v, cuda_place(kn, KERNEL_ARG_OUT, kn->out_pixel, s));
}

LLVMValueRef cuda_bias(const CudaKern *kn, LLVMValueRef chan)
{
    return kn->bias ? cuda_load(kn, emit_at(kn->e, kn->bias, chan)) : emit_real(kn->e->vec, 0);
}
