/* Values or images zeroed at random: docs/random.md, "Masks of a training step". */
#include "cnnrt.h"
#include "codegen/cuda/kern.h"
#include <math.h>

/* The constants of SplitMix64 (Steele, Lea & Flood 2014). */
#define MIX_STEP 0x9E3779B97F4A7C15u
#define MIX_FIRST 0xBF58476D1CE4E5B9u
#define MIX_SECOND 0x94D049BB133111EBu

enum { UNIFORM_SHIFT = 40 /* 24 bits of 64 are the uniform number */ };

static LLVMValueRef constant(const CudaKern *kn, uint64_t v)
{
    return LLVMConstInt(kn->e->i64, v, 0);
}

static LLVMValueRef fold(const CudaKern *kn, LLVMValueRef z, unsigned shift)
{
    LLVMBuilderRef b = kn->e->b;
    return LLVMBuildXor(b, z, LLVMBuildLShr(b, z, constant(kn, shift), ""), "");
}

/* mix(key, counter). */
static LLVMValueRef mix(const CudaKern *kn, LLVMValueRef key, LLVMValueRef counter)
{
    LLVMBuilderRef b = kn->e->b;
    LLVMValueRef next = LLVMBuildAdd(b, counter, constant(kn, 1), "");
    LLVMValueRef z = LLVMBuildAdd(b, key, LLVMBuildMul(b, next, constant(kn, MIX_STEP), ""), "");
    z = LLVMBuildMul(b, fold(kn, z, 30), constant(kn, MIX_FIRST), "");
    z = LLVMBuildMul(b, fold(kn, z, 27), constant(kn, MIX_SECOND), "");
    return fold(kn, z, 31);
}

/* Whether uniform >= p: its 24 bits, an integer, are compared with the least that passes. */
static LLVMValueRef keeps(const CudaKern *kn, LLVMValueRef u)
{
    LLVMBuilderRef b = kn->e->b;
    int64_t least = (int64_t)ceil((double)(float)kn->k->p * 0x1p24);
    LLVMValueRef bits = LLVMBuildLShr(b, u, constant(kn, UNIFORM_SHIFT), "");
    return LLVMBuildICmp(b, LLVMIntUGE, bits, constant(kn, (uint64_t)least), "");
}

/* The key of an image's masks in this step. */
static LLVMValueRef image_key(const CudaKern *kn, LLVMValueRef image)
{
    LLVMValueRef seed = cuda_run_field(kn, offsetof(CnnrtRun, seed));
    LLVMValueRef key = mix(kn, seed, constant(kn, (uint64_t)kn->k->mask_key));
    key = mix(kn, key, cuda_run_field(kn, offsetof(CnnrtRun, step)));
    return mix(kn, key, LLVMBuildSExt(kn->e->b, image, kn->e->i64, ""));
}

static LLVMValueRef gate(const CudaKern *kn, LLVMValueRef key)
{
    Emit *e = kn->e;
    LLVMValueRef kept = emit_real(e->f32, 1.0f / (1.0f - (float)kn->k->p));
    LLVMValueRef draw = mix(kn, key, constant(kn, 0));
    return emit_splat(e, emit_select(e, keeps(kn, draw), kept, emit_real(e->f32, 0)));
}

static LLVMValueRef values(const CudaKern *kn, LLVMValueRef key, Spot s)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    LLVMValueRef x =
        cuda_map_load(kn, KERNEL_ARG_IN, cuda_place(kn, KERNEL_ARG_IN, kn->in_pixel, s));
    LLVMValueRef rest = emit_real(e->f32, 1.0f - (float)k->p), all = LLVMGetPoison(e->vec);
    for (int i = 0; i < e->vl; i++) {
        LLVMValueRef chan = emit_add(e, s.chan, cuda_int(kn, i));
        LLVMValueRef at = emit_add(e, emit_mul(e, chan, k->out.h * k->out.w), s.pixel);
        LLVMValueRef draw = mix(kn, key, LLVMBuildSExt(e->b, at, e->i64, ""));
        LLVMValueRef v = emit_fdiv(e, emit_lane(e, x, i), rest);
        all = emit_set_lane(e, all, emit_select(e, keeps(kn, draw), v, emit_real(e->f32, 0)), i);
    }
    return all;
}

bool cuda_mask(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    If guard;
    if (!(k->p >= 0 && k->p <= 1))
        return emit_fail(e, "a probability lies between 0 and 1");
    Spot s = cuda_spot(kn, cuda_item(kn, &guard), map_blocks(k->out, e->vl));
    LLVMValueRef key = image_key(kn, s.image);
    cuda_finish(kn, k->per_image ? gate(kn, key) : values(kn, key, s), s);
    if_end(e, &guard);
    return true;
}
