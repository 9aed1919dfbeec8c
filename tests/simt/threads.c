/* Special registers, barriers, and what lanes of a warp do together. */
#include "clock.h"
#include "memory.h"
#include "operation.h"

void op_sreg(const Call *c, const Word *in, Word *out)
{
    (void)in;
    const Thread *t = block.now;
    uint32_t bit = 1u << t->lane;
    switch (c->variant) {
    case SREG_LANE: out->u64 = t->lane; break;
    case SREG_WARP: out->u64 = t->id / LANES; break;
    case SREG_WARP_SIZE: out->u64 = LANES; break;
    case SREG_MASK_EQ: out->u64 = bit; break;
    case SREG_MASK_LT: out->u64 = bit - 1; break;
    case SREG_MASK_LE: out->u64 = bit | (bit - 1); break;
    case SREG_MASK_GT: out->u64 = ~(bit | (bit - 1)); break;
    case SREG_MASK_GE: out->u64 = ~(bit - 1); break;
    default: {
        const uint32_t *of[] = {t->tid, block.ntid, block.ctaid, block.nctaid};
        out->u64 = of[c->variant / 3][c->variant % 3];
    }
    }
}

void op_nothing(const Call *c, const Word *in, Word *out)
{
    (void)c;
    (void)in;
    (void)out;
}

void op_barrier(const Call *c, const Word *in, Word *out)
{
    (void)out;
    uint32_t id = c->variant == BAR_ALL ? 0 : in[0].u32;
    uint32_t count = c->variant == BAR_COUNT ? in[1].u32 : 0;
    if (c->variant == BAR_COUNT && !count)
        fault(SIMT_ILLEGAL, c->site, NO_SITE, "barrier %u for no threads", id);
    barrier_sync(c->site, id, count);
}

/* Of all that lanes do together, this alone orders memory. */
static void run_warp_sync(Warp *w, uint32_t mask, void *const *slot)
{
    (void)slot;
    uint32_t thread[LANES], n = 0;
    for (uint32_t left = mask; left; left &= left - 1)
        thread[n++] = w->first + (uint32_t)__builtin_ctz(left);
    clock_join(thread, n);
}

void op_warp_sync(const Call *c, const Word *in, Word *out)
{
    static const WarpOp op = {"bar.warp.sync", false, run_warp_sync};
    (void)out;
    warp_meet(c->site, in[0].u32, &op, NULL);
}

/* What a lane brings, and what it gets. */
typedef struct Exchange {
    const Call *call;
    uint32_t value, lane, control;
    uint32_t result;
    bool valid;
} Exchange;

/* The lane that lane l reads from, as the PTX manual computes it; `valid`: the predicate. */
static uint32_t source_lane(int variant, uint32_t l, uint32_t operand, uint32_t control,
                            bool *valid)
{
    uint32_t clamp = control & 31, segment = control >> 8 & 31, b = operand & 31;
    uint32_t last = (l & segment) | (clamp & ~segment), first = l & segment, j = 0;
    switch (variant) {
    case SHFL_UP:
        j = l - b;
        *valid = (int32_t)j >= (int32_t)last;
        break;
    case SHFL_DOWN:
        j = l + b;
        *valid = j <= last;
        break;
    case SHFL_BFLY:
        j = l ^ b;
        *valid = j <= last;
        break;
    default:
        j = first | (b & ~segment);
        *valid = j <= last;
        break;
    }
    return *valid ? j : l;
}

static void run_shfl(Warp *w, uint32_t mask, void *const *slot)
{
    for (uint32_t left = mask; left; left &= left - 1) {
        uint32_t l = (uint32_t)__builtin_ctz(left);
        Exchange *e = slot[l];
        uint32_t from = source_lane(e->call->variant, l, e->lane, e->control, &e->valid);
        if (mask >> from & 1) {
            e->result = ((const Exchange *)slot[from])->value;
            continue;
        }
        e->result = UINT32_MAX;
        fault(SIMT_ILLEGAL, e->call->site, NO_SITE,
              "thread %u reads from lane %u, which does not take part", w->first + l, from);
    }
}

void op_shfl(const Call *c, const Word *in, Word *out)
{
    static const WarpOp op = {"shfl.sync", false, run_shfl};
    Exchange e = {c, in[1].u32, in[2].u32, in[3].u32, 0, false};
    warp_meet(c->site, in[0].u32, &op, &e);
    out[0].u64 = e.result;
    out[1].u64 = e.valid;
}

static void run_vote(Warp *w, uint32_t mask, void *const *slot)
{
    (void)w;
    uint32_t yes = 0;
    for (uint32_t left = mask; left; left &= left - 1) {
        uint32_t l = (uint32_t)__builtin_ctz(left);
        yes |= (((const Exchange *)slot[l])->value & 1) << l;
    }
    for (uint32_t left = mask; left; left &= left - 1) {
        Exchange *e = slot[__builtin_ctz(left)];
        switch (e->call->variant) {
        case VOTE_ALL: e->result = yes == mask; break;
        case VOTE_ANY: e->result = yes != 0; break;
        case VOTE_UNI: e->result = yes == mask || !yes; break;
        default: e->result = yes; break;
        }
    }
}

void op_vote(const Call *c, const Word *in, Word *out)
{
    static const WarpOp op = {"vote.sync", false, run_vote};
    Exchange e = {.call = c, .value = in[1].u32};
    warp_meet(c->site, in[0].u32, &op, &e);
    out->u64 = e.result;
}

static uint32_t combine(int variant, uint32_t a, uint32_t b)
{
    switch (variant) {
    case REDUX_ADD: return a + b;
    case REDUX_MIN: return (int32_t)a < (int32_t)b ? a : b;
    case REDUX_MAX: return (int32_t)a > (int32_t)b ? a : b;
    case REDUX_UMIN: return a < b ? a : b;
    case REDUX_UMAX: return a > b ? a : b;
    case REDUX_AND: return a & b;
    case REDUX_OR: return a | b;
    default: return a ^ b;
    }
}

static void run_redux(Warp *w, uint32_t mask, void *const *slot)
{
    (void)w;
    uint32_t rest = mask & (mask - 1);
    const Exchange *first = slot[__builtin_ctz(mask)];
    uint32_t sum = first->value;
    for (uint32_t left = rest; left; left &= left - 1)
        sum = combine(first->call->variant, sum,
                      ((const Exchange *)slot[__builtin_ctz(left)])->value);
    for (uint32_t left = mask; left; left &= left - 1)
        ((Exchange *)slot[__builtin_ctz(left)])->result = sum;
}

/* The intrinsic has the value first, the mask second. */
void op_redux(const Call *c, const Word *in, Word *out)
{
    static const WarpOp op = {"redux.sync", false, run_redux};
    Exchange e = {.call = c, .value = in[0].u32};
    warp_meet(c->site, in[1].u32, &op, &e);
    out->u64 = e.result;
}

/* The lowest lane of those that take part. */
static void run_elect(Warp *w, uint32_t mask, void *const *slot)
{
    (void)w;
    for (uint32_t left = mask; left; left &= left - 1) {
        uint32_t l = (uint32_t)__builtin_ctz(left);
        ((Exchange *)slot[l])->result = left == mask;
    }
}

void op_elect(const Call *c, const Word *in, Word *out)
{
    static const WarpOp op = {"elect.sync", false, run_elect};
    Exchange e = {.call = c};
    warp_meet(c->site, in[0].u32, &op, &e);
    out->u64 = e.result;
}
