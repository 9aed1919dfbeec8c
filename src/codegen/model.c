#include "codegen/model.h"
#include "cnnrt.h"
#include "codegen/wrappers.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(CNNRT_KERNEL_ARGS == KERNEL_ARGS, "the runtime passes what kernels take");

enum { MODEL_FIELDS = 20, TRAINING_FIELDS = 20 };

/* The types of cnnrt.h, field by field. */
typedef struct Types {
    LLVMTypeRef operand, step, tensor, parameter, optimizer, training, launch, image, code, model;
} Types;

typedef struct Builder {
    Emit *e;
    const Plan *p;
    const EmitOptions *o;
    bool whole; /* all in one module of text: weights are given at create */
    Types t;
} Builder;

_Static_assert(sizeof(CnnrtModel) == 152 && sizeof(CnnrtTraining) == 208 &&
                   sizeof(CnnrtParameter) == 72 && sizeof(CnnrtLaunch) == 80 &&
                   sizeof(CnnrtImage) == 32 && sizeof(CnnrtCode) == 32,
               "the types below are those of cnnrt.h");

static LLVMTypeRef structure(Emit *e, LLVMTypeRef *fields, unsigned n)
{
    return LLVMStructTypeInContext(e->ctx, fields, n, 0);
}

static LLVMTypeRef real64(Emit *e)
{
    return LLVMDoubleTypeInContext(e->ctx);
}

static Types make_types(Emit *e)
{
    Types t;
    LLVMTypeRef i32 = e->i32, i64 = e->i64, ptr = e->ptr, four = LLVMArrayType2(e->f32, 4);
    t.operand = structure(e, (LLVMTypeRef[]){i32, i32, i64, i64, i64}, 5);
    LLVMTypeRef args = LLVMArrayType2(t.operand, CNNRT_KERNEL_ARGS);
    t.step = structure(e, (LLVMTypeRef[]){ptr, ptr, i64, i64, args, i64, i64}, 7);
    t.tensor =
        structure(e, (LLVMTypeRef[]){ptr, i64, i64, i64, i32, i32, four, four, i64, i64}, 10);
    LLVMTypeRef two = LLVMArrayType2(i64, 2), dims = LLVMArrayType2(i64, 4), f64 = real64(e);
    t.parameter = structure(e, (LLVMTypeRef[]){ptr, i64, i64, i64, i64, dims}, 6);
    t.optimizer = structure(e, (LLVMTypeRef[]){f64, f64, f64, i64}, 4);
    t.training = structure(e,
                           (LLVMTypeRef[]){ptr,
                                           i64,
                                           i64,
                                           i64,
                                           i64,
                                           i64,
                                           i64,
                                           i64,
                                           i64,
                                           two,
                                           LLVMArrayType2(f64, 2),
                                           LLVMArrayType2(ptr, 2),
                                           i64,
                                           i64,
                                           i64,
                                           i64,
                                           i64,
                                           t.optimizer,
                                           ptr,
                                           ptr},
                           TRAINING_FIELDS);
    t.launch = structure(
        e, (LLVMTypeRef[]){ptr, i64, i64, i64, i32, i32, i32, i32, i64, i64, i64, i32, i32}, 13);
    t.image = structure(e, (LLVMTypeRef[]){i32, i32, i64, i64, ptr}, 5);
    t.code = structure(e, (LLVMTypeRef[]){ptr, ptr, ptr, i64}, 4);
    t.model = structure(e, (LLVMTypeRef[]){i32, i32, ptr, ptr, ptr, ptr, i64, i64, i64, i64,
                                           i64, i64, ptr, ptr, i64, i64, ptr, ptr, ptr, ptr},
                        MODEL_FIELDS);
    return t;
}

static LLVMValueRef constant32(Emit *e, int64_t v)
{
    return LLVMConstInt(e->i32, (unsigned long long)v, 1);
}

static LLVMValueRef record(Builder *b, LLVMTypeRef type, LLVMValueRef *fields)
{
    return LLVMConstStructInContext(b->e->ctx, fields, LLVMCountStructElementTypes(type), 0);
}

static LLVMValueRef constant_global(Emit *e, LLVMValueRef value, const char *name)
{
    LLVMValueRef g = LLVMAddGlobal(e->mod, LLVMTypeOf(value), name);
    LLVMSetInitializer(g, value);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    return g;
}

static LLVMValueRef text(Emit *e, const char *s)
{
    LLVMValueRef v = LLVMConstStringInContext2(e->ctx, s, strlen(s), 0);
    LLVMValueRef g = constant_global(e, v, "text");
    LLVMSetUnnamedAddress(g, LLVMGlobalUnnamedAddr);
    return g;
}

static bool symbol(Builder *b, char *out, size_t len, const char *suffix)
{
    if ((size_t)snprintf(out, len, "%s_%s", b->o->prefix, suffix) >= len)
        return emit_fail(b->e, "the prefix is too long");
    return true;
}

static bool kernel_name(Builder *b, char *out, size_t len, uint32_t index)
{
    char suffix[16];
    snprintf(suffix, sizeof suffix, "k%u", index);
    return symbol(b, out, len, suffix);
}

/* NULL for a device: its steps have launches. */
static LLVMValueRef kernel_symbol(Builder *b, uint32_t index)
{
    Emit *e = b->e;
    char name[300];
    if (b->p->target.kind == TARGET_CUDA || !kernel_name(b, name, sizeof name, index))
        return LLVMConstNull(e->ptr);
    LLVMValueRef fn = LLVMGetNamedFunction(e->mod, name);
    if (!fn) {
        LLVMTypeRef params[3] = {e->ptr, e->i64, e->i64};
        fn = LLVMAddFunction(e->mod, name, LLVMFunctionType(e->none, params, 3, 0));
        LLVMSetVisibility(fn, LLVMHiddenVisibility);
    }
    return fn;
}

static LLVMValueRef operand(Builder *b, CnnrtOperand o)
{
    Emit *e = b->e;
    LLVMValueRef fields[5] = {constant32(e, o.space), constant32(e, o.index), emit_int(e, o.offset),
                              emit_int(e, o.stride), emit_int(e, o.inner)};
    return record(b, b->t.operand, fields);
}

static CnnrtOperand resolve(const Plan *p, const PlanOperand *o)
{
    static const int32_t space[] = {
        [SPACE_NONE] = CNNRT_NONE,       [SPACE_INPUT] = CNNRT_INPUT,
        [SPACE_OUTPUT] = CNNRT_OUTPUT,   [SPACE_ARENA] = CNNRT_ARENA,
        [SPACE_WEIGHTS] = CNNRT_WEIGHTS, [SPACE_SCRATCH] = CNNRT_SCRATCH};
    CnnrtOperand r = {.space = space[o->space], .offset = o->offset};
    if (!o->tensor)
        return r;
    const PlanTensor *t = &p->tensors.at[o->tensor - 1];
    r.index = (int32_t)t->index;
    r.stride = t->floats;
    if (o->space == SPACE_ARENA) {
        r.offset = t->offset;
        r.inner = o->offset;
    }
    return r;
}

_Static_assert((int)ORDER_STEP == CNNRT_BY_STEP && (int)ORDER_IMAGE == CNNRT_BY_IMAGE &&
                   (int)ORDER_UNIT == CNNRT_BY_UNIT,
               "orders are those of cnnrt.h");

static LLVMValueRef step(Builder *b, const PlanStep *s)
{
    Emit *e = b->e;
    LLVMValueRef args[CNNRT_KERNEL_ARGS];
    const Kernel *k = &b->p->kernels.at[s->kernel].k;
    bool device = b->p->target.kind == TARGET_CUDA; /* which is passed what its kernels take */
    for (int i = 0; i < CNNRT_KERNEL_ARGS; i++) {
        bool none = device && !kernel_has_arg(k, &b->p->target, i);
        CnnrtOperand a = {0};
        if (!none)
            a = resolve(b->p, &s->args[i]);
        args[i] = operand(b, a);
    }
    LLVMValueRef fields[7] = {kernel_symbol(b, s->kernel),
                              text(e, s->name ? s->name : ""),
                              emit_int(e, s->units),
                              emit_int(e, s->macs),
                              LLVMConstArray2(b->t.operand, args, CNNRT_KERNEL_ARGS),
                              emit_int(e, s->whole),
                              emit_int(e, s->order)};
    return record(b, b->t.step, fields);
}

static LLVMValueRef four_floats(Emit *e, const double *v)
{
    LLVMValueRef lane[4];
    for (int i = 0; i < 4; i++)
        lane[i] = LLVMConstReal(e->f32, v ? v[i] : 0);
    return LLVMConstArray2(e->f32, lane, 4);
}

static LLVMValueRef tensor(Builder *b, const char *name, NodeId node, const GraphInput *in)
{
    Emit *e = b->e;
    Shape s = b->p->an->shape[node.v];
    bool norm = in && in->has_norm;
    const double *mean = norm ? in->mean : NULL, *std = norm ? in->std : NULL;
    LLVMValueRef fields[10] = {text(e, name),
                               emit_int(e, s.c),
                               emit_int(e, s.h),
                               emit_int(e, s.w),
                               constant32(e, s.flat),
                               constant32(e, norm),
                               four_floats(e, mean),
                               four_floats(e, std),
                               emit_int(e, in ? in->resize : 0),
                               emit_int(e, in ? in->crop : 0)};
    return record(b, b->t.tensor, fields);
}

typedef LLVMValueRef Element(Builder *b, uint32_t i);

static LLVMValueRef step_at(Builder *b, uint32_t i)
{
    return step(b, &b->p->steps.at[i]);
}

static LLVMValueRef input_at(Builder *b, uint32_t i)
{
    const GraphInput *in = &b->p->an->g->ins.at[i];
    return tensor(b, in->name, in->node, in);
}

static LLVMValueRef output_at(Builder *b, uint32_t i)
{
    const GraphOutput *out = &b->p->an->g->outs.at[i];
    return tensor(b, out->name, out->node, NULL);
}

static LLVMValueRef table(Builder *b, LLVMTypeRef type, uint32_t n, Element *element,
                          const char *name)
{
    LLVMValueRef *at = calloc(n ? n : 1, sizeof *at);
    if (!at) {
        emit_fail(b->e, "out of memory");
        return LLVMConstNull(b->e->ptr);
    }
    for (uint32_t i = 0; i < n; i++)
        at[i] = element(b, i);
    LLVMValueRef g = constant_global(b->e, LLVMConstArray2(type, at, n), name);
    free(at);
    return g;
}

/* They are in a piece of their own (weights.h). */
static LLVMValueRef embedded_weights(Builder *b)
{
    Emit *e = b->e;
    char name[300];
    if (!b->o->embed || b->whole || !symbol(b, name, sizeof name, "weights"))
        return LLVMConstNull(e->ptr);
    LLVMValueRef g = LLVMAddGlobal(e->mod, e->f32, name);
    LLVMSetVisibility(g, LLVMHiddenVisibility);
    LLVMSetGlobalConstant(g, 1);
    return g;
}

static LLVMValueRef text_or_null(Emit *e, const char *s)
{
    return s ? text(e, s) : LLVMConstNull(e->ptr);
}

static LLVMValueRef number(Builder *b, double v)
{
    return LLVMConstReal(real64(b->e), v);
}

static LLVMValueRef parameter_at(Builder *b, uint32_t i)
{
    Emit *e = b->e;
    const PlanParam *q = &b->p->state.params.at[i];
    LLVMValueRef dims[4];
    for (int k = 0; k < 4; k++)
        dims[k] = emit_int(e, q->dims[k]);
    int flags = (q->trained ? CNNRT_TRAINED : 0) | (q->decayed ? CNNRT_DECAYED : 0);
    LLVMValueRef fields[6] = {text(e, q->name),       emit_int(e, q->offset),
                              emit_int(e, q->floats), emit_int(e, flags),
                              emit_int(e, q->ndim),   LLVMConstArray2(e->i64, dims, 4)};
    return record(b, b->t.parameter, fields);
}

/* The function that gives the network for inference, of another plan's object. */
static LLVMValueRef inference_model(Builder *b)
{
    Emit *e = b->e;
    char name[300];
    if (!b->o->inference)
        return LLVMConstNull(e->ptr);
    if ((size_t)snprintf(name, sizeof name, "%s_model", b->o->inference) >= sizeof name) {
        emit_fail(e, "the prefix is too long");
        return LLVMConstNull(e->ptr);
    }
    return LLVMAddFunction(e->mod, name, LLVMFunctionType(e->ptr, NULL, 0, 0));
}

static LLVMValueRef training_constant(Builder *b)
{
    Emit *e = b->e;
    const Plan *p = b->p;
    const PlanState *s = &p->state;
    if (!p->train)
        return LLVMConstNull(e->ptr);
    uint32_t losses = p->train->losses.len;
    const CnnrtOptimizer *o = &s->optimizer;
    LLVMValueRef slot[2] = {emit_int(e, s->slot[0]), emit_int(e, s->slot[1])};
    LLVMValueRef start[2] = {number(b, s->slot_start[0]), number(b, s->slot_start[1])};
    LLVMValueRef names[2] = {text_or_null(e, s->slot_name[0]), text_or_null(e, s->slot_name[1])};
    LLVMValueRef optimizer[4] = {number(b, o->beta1), number(b, o->beta2), number(b, o->average),
                                 emit_int(e, o->accumulate)};
    LLVMValueRef fields[TRAINING_FIELDS] = {
        table(b, b->t.parameter, s->params.len, parameter_at, "parameters"),
        emit_int(e, s->params.len),
        emit_int(e, s->trained),
        emit_int(e, s->kept),
        emit_int(e, s->saved),
        emit_int(e, s->grad),
        emit_int(e, s->sum),
        emit_int(e, s->average),
        emit_int(e, s->slots),
        LLVMConstArray2(e->i64, slot, 2),
        LLVMConstArray2(real64(e), start, 2),
        LLVMConstArray2(e->ptr, names, 2),
        emit_int(e, p->forward),
        emit_int(e, p->backward),
        emit_int(e, p->update),
        emit_int(e, p->an->g->outs.len - losses),
        emit_int(e, p->an->g->ins.len - p->train->targets),
        record(b, b->t.optimizer, optimizer),
        embedded_weights(b),
        inference_model(b),
    };
    return constant_global(e, record(b, b->t.training, fields), "training");
}

static LLVMValueRef launch_at(Builder *b, uint32_t i)
{
    Emit *e = b->e;
    const PlanStep *s = &b->p->steps.at[i];
    const Kernel *k = &b->p->kernels.at[s->kernel].k;
    Launch l = family_launch(k, &b->p->target);
    bool boxes = l.in.channels > 0;
    char name[300] = "";
    kernel_name(b, name, sizeof name, s->kernel);
    LLVMValueRef fields[13] = {text(e, name),
                               emit_int(e, l.items),
                               emit_int(e, l.per_block),
                               emit_int(e, l.rows),
                               constant32(e, l.threads),
                               constant32(e, launch_shared(&l)),
                               constant32(e, kernel_reads_run(k)),
                               constant32(e, l.once),
                               emit_int(e, l.in.channels),
                               emit_int(e, l.in.rows),
                               emit_int(e, l.in.step),
                               constant32(e, boxes ? k->tile.cuda.k : 0),
                               constant32(e, boxes ? k->tile.cuda.m : 0)};
    return record(b, b->t.launch, fields);
}

static LLVMValueRef image_at(Builder *b, uint32_t i)
{
    Emit *e = b->e;
    const EmitImage *m = &b->o->images[i];
    LLVMValueRef bytes = LLVMConstStringInContext2(e->ctx, m->data, m->len, m->cubin);
    LLVMValueRef g = constant_global(e, bytes, "image");
    LLVMSetAlignment(g, 16);
    LLVMValueRef fields[5] = {constant32(e, m->cubin ? CNNRT_CUBIN : CNNRT_PTX),
                              constant32(e, m->arch), emit_int(e, m->exact),
                              emit_int(e, (int64_t)m->len + !m->cubin), g};
    return record(b, b->t.image, fields);
}

/* Kernels for a device, and who runs them there. */
static LLVMValueRef code_constant(Builder *b)
{
    static const char backend[] = "cnnrt_cuda_backend";
    Emit *e = b->e;
    if (b->p->target.kind != TARGET_CUDA)
        return LLVMConstNull(e->ptr);
    LLVMValueRef g = LLVMAddGlobal(e->mod, e->ptr, backend);
    LLVMSetVisibility(g, LLVMHiddenVisibility);
    LLVMValueRef fields[4] = {g, table(b, b->t.launch, b->p->steps.len, launch_at, "launches"),
                              table(b, b->t.image, (uint32_t)b->o->image_count, image_at, "images"),
                              emit_int(e, b->o->image_count)};
    return constant_global(e, record(b, b->t.code, fields), "code");
}

static LLVMValueRef model_constant(Builder *b)
{
    Emit *e = b->e;
    const Plan *p = b->p;
    const Graph *g = p->an->g;
    LLVMValueRef fields[MODEL_FIELDS] = {
        constant32(e, CNNRT_ABI_VERSION),
        constant32(e, b->o->max_batch),
        text(e, b->o->net_name),
        table(b, b->t.step, p->steps.len, step_at, "steps"),
        table(b, b->t.tensor, g->ins.len, input_at, "inputs"),
        table(b, b->t.tensor, g->outs.len, output_at, "outputs"),
        emit_int(e, p->steps.len),
        emit_int(e, g->ins.len),
        emit_int(e, g->outs.len),
        emit_int(e, p->arena_floats),
        emit_int(e, p->scratch_floats),
        emit_int(e, p->weight_floats),
        p->train ? LLVMConstNull(e->ptr) : embedded_weights(b),
        text(e, p->target.cpu),
        emit_int(e, p->an->params),
        LLVMConstInt(e->i64, b->o->weights_hash, 0),
        text_or_null(e, b->o->weights_file),
        text_or_null(e, b->o->compiler),
        training_constant(b),
        code_constant(b),
    };
    return constant_global(e, record(b, b->t.model, fields), "model");
}

bool model_emit(Emit *e, const Plan *p, const EmitOptions *o, bool wrappers, bool whole)
{
    Builder b = {.e = e, .p = p, .o = o, .whole = whole, .t = make_types(e)};
    char name[300];
    LLVMValueRef model = model_constant(&b);
    if (e->err[0] || !symbol(&b, name, sizeof name, "model"))
        return false;
    if (o->variant && !whole) {
        LLVMSetValueName2(model, name, strlen(name));
        LLVMSetLinkage(model, LLVMExternalLinkage);
        LLVMSetVisibility(model, LLVMHiddenVisibility);
        return !e->err[0];
    }
    emit_function(e, name, LLVMFunctionType(e->ptr, NULL, 0, 0));
    LLVMBuildRet(e->b, model);
    if (!wrappers)
        return !e->err[0];
    ModelSource source = {.model = model};
    return p->train ? wrappers_emit_training(e, o->prefix, &source)
                    : wrappers_emit(e, o->prefix, &source);
}
