/* Built-in functions. */
#include "elab/elaborator.h"
#include <math.h>

static bool whole(Elaborator *el, double r, Span span, Value *out)
{
    out->kind = V_INT;
    if (fabs(r) < 9.0e18) {
        out->i = (int64_t)r;
        return true;
    }
    diag(&el->s->diags, E_VALUE, span, "the number is too large for an int");
    return false;
}

static Value extreme(const Value *v, uint32_t n, bool largest)
{
    uint32_t best = 0;
    bool real = false;
    for (uint32_t i = 0; i < n; i++) {
        int order = value_order(&v[i], &v[best]);
        real = real || v[i].kind == V_REAL;
        if (largest ? order > 0 : order < 0)
            best = i;
    }
    return real ? value_real(value_number(&v[best])) : v[best];
}

static Value compute(Elaborator *el, Builtin b, const Value *v, uint32_t n, Span span)
{
    Value out = v[0];
    double x = value_number(&v[0]);
    bool ok = true;
    switch (b) {
    case BUILTIN_MAX:
    case BUILTIN_MIN: return extreme(v, n, b == BUILTIN_MAX);
    case BUILTIN_ABS:
        if (out.kind == V_INT && out.i != INT64_MIN)
            out.i = out.i < 0 ? -out.i : out.i;
        else
            out = value_real(fabs(x));
        break;
    case BUILTIN_REAL: return value_real(x);
    case BUILTIN_SQRT:
        if (x < 0)
            diag(&el->s->diags, E_VALUE, span, "the square root of a negative number");
        return x < 0 ? POISON : value_real(sqrt(x));
    case BUILTIN_INT: ok = out.kind == V_INT || whole(el, trunc(x), span, &out); break;
    case BUILTIN_CEIL: ok = out.kind == V_INT || whole(el, ceil(x), span, &out); break;
    case BUILTIN_FLOOR: ok = out.kind == V_INT || whole(el, floor(x), span, &out); break;
    case BUILTIN_ROUND: ok = out.kind == V_INT || whole(el, round(x), span, &out); break;
    case BUILTIN_LEN:
    case BUILTIN_COUNT: break;
    }
    return ok ? out : POISON;
}

Value eval_builtin(Elaborator *el, Frame *f, Builtin b, AstId args, Span span)
{
    const BuiltinInfo *info = &builtin_info[b];
    uint32_t n = kid_count(f->module, args), lits = 0;
    Value *v = arena_new_n(el->a, Value, n + 1);
    bool ordinal = false;
    if (n < (uint32_t)info->least || (info->most >= 0 && n > (uint32_t)info->most)) {
        diag(&el->s->diags, E_ARG_COUNT, span, info->name, info->most < 0 ? 1 : info->most, (int)n);
        return POISON;
    }
    for (uint32_t i = 0; i < n; i++) {
        AstId x = kid_at(f->module, kid_at(f->module, args, i), 0);
        v[i] = eval(el, f, x);
        if (v[i].kind == V_POISON)
            return POISON;
        lits = lits_union(el, lits, v[i].lits);
        ordinal = ordinal || v[i].ordinal;
        bool fits =
            b == BUILTIN_LEN ? v[i].kind == V_LIST : v[i].kind == V_INT || v[i].kind == V_REAL;
        if (!fits) {
            diag(&el->s->diags, E_TYPE, node_at(f->module, x)->span,
                 b == BUILTIN_LEN ? "list" : "real", type_text(value_type(&v[i])));
            return POISON;
        }
    }
    Value out = b == BUILTIN_LEN ? value_int(v[0].list.n) : compute(el, b, v, n, span);
    out.lits = lits;
    out.ordinal = ordinal;
    return out;
}
