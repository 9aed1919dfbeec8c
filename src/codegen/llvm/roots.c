#include "codegen/llvm/roots.h"
#include "cnnrt.h"

Kernel roots_normal(const Kernel *k)
{
    Kernel n = *k;
    int64_t *const at_least_one[] = {&n.sh, &n.sw, &n.dh, &n.dw, &n.groups, &n.kh, &n.kw};
    for (size_t i = 0; i < sizeof at_least_one / sizeof *at_least_one; i++)
        if (*at_least_one[i] < 1)
            *at_least_one[i] = 1;
    return n;
}

static bool names_only_operands(Emit *e, const Kernel *k, const ExprCode *code)
{
    for (int i = 1; i < EXPR_MAX_ARGS; i++)
        if (code->uses[i] && i > k->extra_count)
            return emit_fail(e, "a kernel's expression names an operand it does not have");
    return true;
}

bool roots_read(Emit *e, const Kernel *k, ExprCode *code, ExprCode root[KERNEL_MAX_ROOTS],
                bool uses[EXPR_MAX_ARGS])
{
    if (!expr_code(e, k->pool_expr, k->root, code) || !names_only_operands(e, k, code))
        return false;
    for (int r = 0; r < k->root_count; r++) {
        if (!expr_code(e, k->pool_expr, k->root_of[r], &root[r]) ||
            !names_only_operands(e, k, &root[r]))
            return false;
        for (int i = 0; i < EXPR_MAX_ARGS; i++)
            uses[i] = uses[i] || root[r].uses[i];
    }
    return true;
}

void roots_fixed_args(Emit *e, const Kernel *k, const bool *uses, RootOperands from,
                      LLVMTypeRef type, LLVMValueRef args[EXPR_MAX_ARGS])
{
    int64_t hyper = (int64_t)(offsetof(CnnrtRun, hyper) / sizeof(float));
    for (int i = 0; i < k->extra_count; i++) {
        LLVMValueRef v = NULL;
        if (!uses[i + 1])
            continue;
        if (k->extra[i] == KARG_SCALAR)
            v = emit_load(e, e->f32, from.extra[i]);
        else if (k->extra[i] == KARG_HYPER && (unsigned)k->hyper[i] < CNNRT_HYPER)
            v = emit_load(e, e->f32, emit_at_const(e, from.run, hyper + k->hyper[i]));
        else if (k->extra[i] == KARG_COUNT)
            v = emit_to_float(e, emit_mul(e, from.batch, k->positions));
        if (v)
            args[i + 1] = type == e->vec ? emit_splat(e, v) : v;
    }
}

void roots_values(Emit *e, const Kernel *k, const bool *uses, const ExprCode *root,
                  LLVMTypeRef type, const LLVMValueRef args[EXPR_MAX_ARGS],
                  LLVMValueRef value[KERNEL_MAX_ROOTS])
{
    for (int i = 0; i < EXPR_MAX_ARGS; i++)
        if (uses[i] && !args[i])
            emit_fail(e, "family %s takes no such operand", family_name[k->family]);
    for (int r = 0; r < k->root_count; r++)
        value[r] = e->err[0] ? emit_real(type, 0) : expr_emit(e, &root[r], type, args);
}

LLVMValueRef roots_target(Emit *e, const Kernel *k, RootOperands to, int r)
{
    int place = k->root_to[r], extra = place - KERNEL_ARG_EXTRA;
    LLVMValueRef found = NULL;
    if (place == KERNEL_ARG_OUT)
        found = to.out;
    else if (place == KERNEL_ARG_IN)
        found = to.in;
    else if (extra >= 0 && extra < k->extra_count)
        found = to.extra[extra];
    if (!found)
        emit_fail(e, "a kernel's result goes to an operand it does not have");
    return found;
}
