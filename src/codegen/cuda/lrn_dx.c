/* The gradient of local response norm: y_c = x_c B_c^-beta, B_c = k + alpha / n * sum of squares
 * over the window of c (lrn.c). x_j stands in its own numerator and in the B of every channel whose
 * window holds it: dx_j = dy_j B_j^-beta - 2 alpha / n beta x_j * sum over those c of dy_c x_c
 * B_c^(-beta - 1). A thread per vector works out all of them that it needs. */
#include "codegen/cuda/kern.h"
#include "codegen/llvm/math.h"

enum { MOST_SIZE = 16, LANES = 4 };
enum { DY = KERNEL_ARG_IN, X = KERNEL_ARG_EXTRA };

typedef struct ResponseDx {
    CudaKern *kn;
    Emit *e;
    const Kernel *k;
    LLVMValueRef x, dy, chan; /* of the position; first channel of the vector */
    LLVMValueRef square[4 * MOST_SIZE];
} ResponseDx;

/* Channel chan + offset of a map, 0 outside of it. */
static LLVMValueRef channel(const ResponseDx *m, int arg, int64_t offset)
{
    LLVMValueRef c = emit_add(m->e, m->chan, cuda_int(m->kn, offset));
    LLVMValueRef there = cuda_inside(m->kn, c, m->k->in.c);
    LLVMValueRef p = arg == DY ? m->dy : m->x;
    return cuda_map_load_if(m->kn, arg, m->e->f32, there, cuda_map_at(m->kn, arg, p, c), p, 0);
}

/* B of channel chan + offset; the squares stand from offset -2 (n - 1) on. */
static LLVMValueRef base(const ResponseDx *m, int64_t offset)
{
    Emit *e = m->e;
    int64_t n = m->k->lrn_size, first = offset - n / 2 + 2 * (n - 1);
    LLVMValueRef sum = m->square[first];
    for (int64_t i = 1; i < n; i++)
        sum = emit_fadd(e, sum, m->square[first + i]);
    return emit_fma(e, sum, emit_real(e->f32, m->k->alpha / (double)n),
                    emit_real(e->f32, m->k->bias_k));
}

static LLVMValueRef power(const ResponseDx *m, LLVMValueRef b)
{
    Emit *e = m->e;
    return math_exp(e, emit_fmul(e, math_log(e, b), emit_real(e->f32, -m->k->beta)));
}

/* dy x B^(-beta - 1). */
static LLVMValueRef term(const ResponseDx *m, int64_t offset)
{
    Emit *e = m->e;
    LLVMValueRef b = base(m, offset);
    LLVMValueRef v = emit_fmul(e, channel(m, DY, offset), channel(m, X, offset));
    return emit_fdiv(e, emit_fmul(e, v, power(m, b)), b);
}

static LLVMValueRef slope(const ResponseDx *m, int lane, const LLVMValueRef *terms)
{
    Emit *e = m->e;
    int64_t n = m->k->lrn_size;
    LLVMValueRef sum = terms[lane];
    for (int64_t i = 1; i < n; i++)
        sum = emit_fadd(e, sum, terms[lane + i]);
    LLVMValueRef factor = emit_real(e->f32, -2 * m->k->alpha / (double)n * m->k->beta);
    factor = emit_fmul(e, factor, channel(m, X, lane));
    LLVMValueRef own = emit_fmul(e, channel(m, DY, lane), power(m, base(m, lane)));
    return emit_fma(e, factor, sum, own);
}

bool cuda_lrn_dx(CudaKern *kn)
{
    Emit *e = kn->e;
    const Kernel *k = kn->k;
    int64_t n = k->lrn_size;
    If guard;
    if (k->extra_count < 1 || n < 1 || n > MOST_SIZE)
        return emit_fail(e, "the gradient of local response norm over %lld channels", (long long)n);
    Spot s = cuda_spot(kn, cuda_item(kn, &guard), map_blocks(k->out, e->vl)), first = s;
    first.chan = cuda_int(kn, 0);
    ResponseDx m = {.kn = kn, .e = e, .k = k, .chan = s.chan};
    m.dy = cuda_place(kn, DY, kn->in_pixel, first);
    m.x = cuda_place(kn, X, map_pixel(k->out, e->vl, k->extra_pixel[0]), first);
    for (int64_t i = 0; i < 4 * (n - 1) + LANES; i++) {
        LLVMValueRef v = channel(&m, X, i - 2 * (n - 1));
        m.square[i] = emit_fmul(e, v, v);
    }
    LLVMValueRef terms[MOST_SIZE + LANES], v = LLVMGetPoison(e->vec);
    for (int64_t i = 0; i < n - 1 + LANES; i++)
        terms[i] = term(&m, i - (n - 1) / 2);
    for (int lane = 0; lane < LANES; lane++)
        v = emit_set_lane(e, v, slope(&m, lane, terms), lane);
    cuda_finish(kn, cuda_keep(kn, v, s.chan, k->out.c, 0), s);
    if_end(e, &guard);
    return true;
}
