/* Values or images zeroed at random: docs/random.md, "Masks of a training step". */
#include "cnnrt.h"
#include "codegen/cpu/kern.h"
#include <math.h>

/* The constants of SplitMix64 (Steele, Lea & Flood 2014). */
#define MIX_STEP 0x9E3779B97F4A7C15u
#define MIX_FIRST 0xBF58476D1CE4E5B9u
#define MIX_SECOND 0x94D049BB133111EBu

enum { UNIFORM_SHIFT = 40 /* 24 bits of 64 are the uniform number */ };

/* 64-bit integers, scalar or vector, against a constant of their type. */
static LLVMValueRef constant(LLVMValueRef like, uint64_t v)
{
    return emit_bits(LLVMTypeOf(like), (int64_t)v);
}

static LLVMValueRef times(Emit *e, LLVMValueRef a, uint64_t by)
{
    return LLVMBuildMul(e->b, a, constant(a, by), "");
}

static LLVMValueRef fold(Emit *e, LLVMValueRef z, int shift)
{
    return LLVMBuildXor(e->b, z, LLVMBuildLShr(e->b, z, constant(z, (uint64_t)shift), ""), "");
}

/* The output function: z is the key plus (counter + 1) * MIX_STEP. */
static LLVMValueRef output(Emit *e, LLVMValueRef z)
{
    z = times(e, fold(e, z, 30), MIX_FIRST);
    z = times(e, fold(e, z, 27), MIX_SECOND);
    return fold(e, z, 31);
}

/* mix(key, counter), scalars. */
static LLVMValueRef mix(Emit *e, LLVMValueRef key, LLVMValueRef counter)
{
    LLVMValueRef next = emit_add(e, counter, emit_int(e, 1));
    return output(e, emit_add(e, key, times(e, next, MIX_STEP)));
}

/* Whether uniform >= p: its 24 bits, an integer, are compared with the least that passes. */
static LLVMValueRef keeps(Emit *e, LLVMValueRef u, double p)
{
    LLVMTypeRef narrow =
        LLVMGetTypeKind(LLVMTypeOf(u)) == LLVMVectorTypeKind ? emit_int_type(e, e->vec) : e->i32;
    LLVMValueRef bits = LLVMBuildLShr(e->b, u, constant(u, UNIFORM_SHIFT), "");
    bits = LLVMBuildTrunc(e->b, bits, narrow, "");
    int64_t least = (int64_t)ceil((double)(float)p * 0x1p24);
    return LLVMBuildICmp(e->b, LLVMIntSGE, bits, emit_bits(narrow, least), "");
}

/* A field of the run, 64 bits. */
static LLVMValueRef run_field(Kern *kn, size_t offset)
{
    Emit *e = kn->e;
    return LLVMBuildLoad2(e->b, e->i64, emit_at_const(e, kn->run, (int64_t)(offset / 4)), "");
}

/* The key of the step's masks. */
static LLVMValueRef step_key(Kern *kn)
{
    Emit *e = kn->e;
    LLVMValueRef seed = run_field(kn, offsetof(CnnrtRun, seed));
    LLVMValueRef key = mix(e, seed, emit_int(e, kn->k->mask_key));
    return mix(e, key, run_field(kn, offsetof(CnnrtRun, step)));
}

/* The gates of a channel block: all images' draws are made anew for each, which costs less than to
 * pass them on. */
static void gates(Kern *kn, LLVMValueRef key, LLVMValueRef block)
{
    Emit *e = kn->e;
    Loop l;
    LLVMValueRef kept = emit_real(e->f32, 1.0f / (1.0f - (float)kn->k->p));
    loop_begin(e, &l, emit_int(e, 0), kern_batch(kn), 1, false, 0, NULL);
    LLVMValueRef draw = mix(e, mix(e, key, l.iv), emit_int(e, 0));
    LLVMValueRef gate = emit_select(e, keeps(e, draw, kn->k->p), kept, emit_real(e->f32, 0));
    LLVMValueRef at = emit_add(e, emit_mul(e, l.iv, kn->k->out_step), emit_mul(e, block, e->vl));
    emit_store(e, emit_splat(e, gate), emit_at(e, kn->out, at));
    loop_end(e, &l, NULL);
}

/* The counters of a block's first position, as multiples of MIX_STEP on top of the image's key:
 * channel by channel a whole plane apart. */
static LLVMValueRef first_counters(Emit *e, LLVMValueRef key, LLVMValueRef block, int64_t plane)
{
    LLVMTypeRef type = LLVMVectorType(e->i64, (unsigned)e->vl);
    LLVMValueRef lane[64], zeros = LLVMConstNull(LLVMVectorType(e->i32, (unsigned)e->vl));
    for (int i = 0; i < e->vl; i++)
        lane[i] = emit_int(e, (int64_t)(((uint64_t)i * (uint64_t)plane + 1) * MIX_STEP));
    LLVMValueRef first = times(e, emit_mul(e, block, plane * e->vl), MIX_STEP);
    LLVMValueRef base = LLVMBuildInsertElement(e->b, LLVMGetPoison(type), emit_add(e, key, first),
                                               LLVMConstInt(e->i32, 0, 0), "");
    base = LLVMBuildShuffleVector(e->b, base, LLVMGetPoison(type), zeros, "");
    return LLVMBuildAdd(e->b, base, LLVMConstVector(lane, (unsigned)e->vl), "");
}

static void values(Kern *kn, LLVMValueRef key, LLVMValueRef block)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t plane = k->out.h * k->out.w;
    LLVMValueRef first = emit_mul(e, block, plane * e->vl), zero = emit_real(e->vec, 0);
    LLVMValueRef rest = emit_real(e->vec, 1.0f - (float)k->p);
    Loop image, l;
    loop_begin(e, &image, emit_int(e, 0), kern_batch(kn), 1, false, 0, NULL);
    LLVMValueRef in = emit_at(e, kn->in, emit_add(e, emit_mul(e, image.iv, k->in_step), first));
    LLVMValueRef out = emit_at(e, kn->out, emit_add(e, emit_mul(e, image.iv, k->out_step), first));
    LLVMValueRef z = first_counters(e, mix(e, key, image.iv), block, plane);
    loop_begin(e, &l, emit_int(e, 0), emit_int(e, plane), 1, false, 1, &z);
    LLVMValueRef at = emit_mul(e, l.iv, e->vl);
    LLVMValueRef x = emit_fdiv(e, emit_load(e, e->vec, emit_at(e, in, at)), rest);
    x = LLVMBuildSelect(e->b, keeps(e, output(e, z), k->p), x, zero, "");
    emit_store(e, x, emit_at(e, out, at));
    z = LLVMBuildAdd(e->b, z, constant(z, MIX_STEP), "");
    loop_end(e, &l, &z);
    loop_end(e, &image, NULL);
}

bool cpu_mask(Kern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    bool same = k->in.layout == k->out.layout && k->in.c == k->out.c && k->in.h == k->out.h &&
                k->in.w == k->out.w;
    if (k->out.layout != LAYOUT_BLOCKED || (k->per_image ? k->out.h * k->out.w != 1 : !same))
        return emit_fail(e, "masks are of blocked maps, gates of 1 x 1");
    if (!(k->p >= 0 && k->p <= 1))
        return emit_fail(e, "a probability lies between 0 and 1");
    Loop l;
    LLVMValueRef key = step_key(kn);
    loop_begin(e, &l, kn->begin, kn->end, 1, false, 0, NULL);
    if (k->per_image)
        gates(kn, key, l.iv);
    else
        values(kn, key, l.iv);
    loop_end(e, &l, NULL);
    return true;
}
