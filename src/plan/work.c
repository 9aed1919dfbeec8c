#include "plan/work.h"
#include "plan/lower.h"

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Floats read of the input of one image: rows and columns between windows are not. */
static int64_t input_floats(const Kernel *k, const Target *t)
{
    MapDesc m = k->in;
    if (k->family == FAM_COPY && k->copy == COPY_CHANNELS)
        m.c = k->count_c;
    else if (k->family == FAM_COPY && k->copy == COPY_BORDER) {
        m.h = at_most(m.h, k->out.h);
        m.w = at_most(m.w, k->out.w);
    } else if (k->kh > 0 && k->kw > 0) {
        m.h = at_most(m.h, k->out.h * k->kh);
        m.w = at_most(m.w, k->out.w * k->kw);
    }
    return map_floats(m, t->vl);
}

static int64_t output_floats(const Kernel *k, const Target *t)
{
    MapDesc m = k->out;
    if (k->family == FAM_COPY && k->copy == COPY_CHANNELS)
        m.c = k->count_c;
    return map_floats(m, t->vl);
}

static double step_macs(const Kernel *k, const PlanStep *s)
{
    enum { PRODUCTS = 36 /* of a tile of F(4x4, 3x3) */ };
    if (k->family == FAM_CONV && k->tile.winograd > 0)
        return (double)PRODUCTS * (double)family_winograd_tiles(k) * (double)k->in.c *
               (double)k->out.c;
    if (k->family == FAM_CONV_DW || k->family == FAM_DEPTHWISE_DW) {
        double per_out = k->family == FAM_CONV_DW ? (double)k->in.c / (double)k->groups : 1;
        return per_out * (double)k->kh * (double)k->kw * (double)k->dy.c * (double)k->dy.h *
               (double)k->dy.w;
    }
    return (double)s->macs;
}

/* Floats of one image of extra operand i, a map: of the output's shape but where it is what is
 * summed, the gradient of another map, or targets. */
static int64_t extra_map_floats(const Kernel *k, const Target *t, int i)
{
    switch (k->family) {
    case FAM_SUMS:
    case FAM_FLAT_SUMS:
    case FAM_LN_DW: return map_floats(k->in, t->vl);
    case FAM_CONV_DW:
    case FAM_DEPTHWISE_DW: return map_floats(i == 0 ? k->dy : k->out, t->vl);
    case FAM_LOSS:
    case FAM_LOSS_DX: return k->in.c * k->in.h * k->in.w;
    default: return map_floats(k->out, t->vl);
    }
}

/* Bytes of an element of a map operand. */
static double element(const Kernel *k, int arg)
{
    return cuda_is_narrow(k, arg) ? 2 : sizeof(float);
}

/* How many images of an operand a step goes over: a whole one over that of every image, or over one
 * for all, by its step; lines of sums stand for images, the last of them for its part. */
static double images_of(const PlanStep *s, const Kernel *k, int64_t image_step, double batch)
{
    if (k->part > 0 && image_step != 0)
        return batch * (double)k->positions / (double)k->part;
    return s->whole && image_step == 0 ? 1 : batch;
}

/* Bytes of extra operand i, of the whole batch. */
static double extra_bytes(const PlanStep *s, const Kernel *k, const Target *t, int i, double batch)
{
    int arg = KERNEL_ARG_EXTRA + i;
    double images = images_of(s, k, k->extra_step[i], batch);
    double channels = (double)map_blocks(i == k->gate_arg ? k->in : k->out, t->vl) * t->vl;
    switch (k->extra[i]) {
    case KARG_MAP: return images * element(k, arg) * (double)extra_map_floats(k, t, i);
    case KARG_GATE: return images * sizeof(float) * channels;
    case KARG_CHANNEL: return sizeof(float) * channels;
    case KARG_RESULT: {
        double positions = batch * (double)(k->out.h * k->out.w);
        double sums = kernel_line_sums(k) * channels;
        return arg == kernel_sums_arg(k) ? sizeof(float) * sums * positions / k->tile.cuda.m
                                         : 0; /* the roots count it */
    }
    default: return 0; /* a value or so */
    }
}

/* Reads floats, and writes them in the order and of the size that another kernel takes. */
static double pack_bytes(const Kernel *k, const Target *t)
{
    Kernel packed = *k;
    packed.family = k->packs;
    double to = sizeof(float) * (double)family_weight_floats(&packed, t);
    return to + to * sizeof(float) / dtype_info[packed.tile.cuda.dtype].bytes;
}

/* Bytes of all operands of a step: packed weights, runs of parameters, sums in parts, maps. */
static double step_bytes(const Plan *p, const PlanStep *s, const Kernel *k, double batch)
{
    const Target *t = &p->target;
    double sum = 0, out = element(k, KERNEL_ARG_OUT) * (double)output_floats(k, t);
    if (k->family == FAM_PACK)
        return pack_bytes(k, t);
    if (s->args[KERNEL_ARG_IN].space != SPACE_NONE)
        sum += images_of(s, k, k->in_step, batch) * element(k, KERNEL_ARG_IN) *
               (double)input_floats(k, t);
    if (k->family == FAM_UPDATE || k->family == FAM_FINISH) /* each root to an operand */
        sum += k->root_count * out;
    else if (s->args[KERNEL_ARG_OUT].space != SPACE_NONE)
        sum += (s->whole && k->out_step == 0 ? 1 : batch) * out;
    if (s->args[KERNEL_ARG_W].space != SPACE_NONE)
        sum += sizeof(float) * (double)family_weight_floats(k, t);
    if (s->args[KERNEL_ARG_BIAS].space != SPACE_NONE)
        sum += sizeof(float) * (double)family_bias_floats(k, t);
    for (int i = 0; i < k->extra_count; i++)
        sum += extra_bytes(s, k, t, i, batch);
    return sum;
}

PlanWork plan_work(const Plan *p, uint32_t step, int64_t batch)
{
    const PlanStep *s = &p->steps.at[step];
    const Kernel *k = &p->kernels.at[s->kernel].k;
    double images = s->whole && k->in_step == 0 ? 1 : (double)batch;
    return (PlanWork){.macs = images * step_macs(k, s),
                      .bytes = step_bytes(p, s, k, (double)batch)};
}
