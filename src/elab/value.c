/* Values: literal sets, types, conversions. */
#include "elab/elaborator.h"
#include <math.h>
#include <string.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t hash_set(const uint32_t *at, uint32_t n)
{
    uint32_t h = 2166136261u ^ n;
    for (uint32_t i = 0; i < n; i++)
        h = (h ^ at[i]) * 16777619u;
    return h;
}

static void rehash(Elaborator *el)
{
    uint32_t n = el->lit_bucket_count ? 4 * el->lit_bucket_count : 256;
    el->lit_buckets = arena_new_n(el->a, uint32_t, n);
    el->lit_bucket_count = n;
    for (uint32_t i = 1; i < el->e->litsets.len; i++) {
        uint32_t at = hash_set(el->e->litsets.at[i].at, el->e->litsets.at[i].n) & (n - 1);
        while (el->lit_buckets[at] != 0)
            at = (at + 1) & (n - 1);
        el->lit_buckets[at] = i;
    }
}

static uint32_t intern_set(Elaborator *el, const uint32_t *set, uint32_t n)
{
    if (n == 0)
        return 0;
    if (2 * el->e->litsets.len >= el->lit_bucket_count)
        rehash(el);
    uint32_t at = hash_set(set, n) & (el->lit_bucket_count - 1);
    for (; el->lit_buckets[at] != 0; at = (at + 1) & (el->lit_bucket_count - 1)) {
        LitSet *s = &el->e->litsets.at[el->lit_buckets[at]];
        if (s->n == n && memcmp(s->at, set, n * sizeof *set) == 0)
            return el->lit_buckets[at];
    }
    uint32_t *copy = arena_new_n(el->a, uint32_t, n);
    memcpy(copy, set, n * sizeof *set);
    vec_push(el->a, &el->e->litsets, ((LitSet){copy, n}));
    return el->lit_buckets[at] = el->e->litsets.len - 1;
}

uint32_t lits_one(Elaborator *el, const Module *m, AstId literal)
{
    uint64_t key = (uint64_t)m->index << 32 | literal.v;
    uint32_t i = map_get(&el->lit_index, key);
    if (i == 0) {
        i = el->e->lits.len;
        vec_push(el->a, &el->e->lits, ((LitRef){m->index, literal}));
        map_put(el->a, &el->lit_index, key, i);
    }
    return intern_set(el, &i, 1);
}

uint32_t lits_union(Elaborator *el, uint32_t a, uint32_t b)
{
    enum { LARGEST = 256 };
    uint32_t set[LARGEST], n = 0, i = 0, k = 0;
    if (a == b || b == 0)
        return a;
    if (a == 0)
        return b;
    LitSet x = el->e->litsets.at[a], y = el->e->litsets.at[b];
    while ((i < x.n || k < y.n) && n < LARGEST) {
        if (k == y.n || (i < x.n && x.at[i] <= y.at[k])) {
            k += k < y.n && x.at[i] == y.at[k];
            set[n++] = x.at[i++];
        } else {
            set[n++] = y.at[k++];
        }
    }
    return intern_set(el, set, n);
}

Value value_int(int64_t i)
{
    return (Value){.kind = V_INT, .i = i};
}

Value value_real(double r)
{
    return (Value){.kind = V_REAL, .r = r};
}

Value value_bool(bool b)
{
    return (Value){.kind = V_BOOL, .b = b};
}

Value value_tensor(NodeId n)
{
    return (Value){.kind = V_TENSOR, .node = n};
}

double value_number(const Value *v)
{
    return v->kind == V_INT ? (double)v->i : v->r;
}

int value_order(const Value *a, const Value *b)
{
    if (a->kind == V_INT && b->kind == V_INT)
        return (a->i > b->i) - (a->i < b->i);
    double x = value_number(a), y = value_number(b);
    return (x > y) - (x < y);
}

Type value_type(const Value *v)
{
    static const TypeKind kind[] = {
        [V_POISON] = TY_UNKNOWN,    [V_INT] = TY_INT,      [V_REAL] = TY_REAL,
        [V_BOOL] = TY_BOOL,         [V_STR] = TY_STR,      [V_SIZE] = TY_SIZE,
        [V_PAD] = TY_PAD,           [V_LIST] = TY_UNKNOWN, [V_LAYER] = TY_LAYER,
        [V_FUNCTION] = TY_FUNCTION, [V_TENSOR] = TY_TENSOR};
    if (v->kind != V_LIST)
        return (Type){kind[v->kind], false};
    Type t = {TY_UNKNOWN, true};
    for (uint32_t i = 0; i < v->list.n; i++) {
        Type e = value_type(&v->list.at[i]);
        if (t.kind == TY_UNKNOWN || (t.kind == TY_INT && e.kind == TY_REAL))
            t.kind = e.kind;
    }
    return t;
}

bool value_equal(const Value *a, const Value *b)
{
    if ((a->kind == V_INT || a->kind == V_REAL) && (b->kind == V_INT || b->kind == V_REAL))
        return value_order(a, b) == 0;
    if (a->kind == V_INT && b->kind == V_SIZE)
        return b->size.h == a->i && b->size.w == a->i;
    if (a->kind == V_SIZE && b->kind == V_INT)
        return value_equal(b, a);
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case V_BOOL: return a->b == b->b;
    case V_STR: return strcmp(a->str, b->str) == 0;
    case V_SIZE: return a->size.h == b->size.h && a->size.w == b->size.w;
    case V_PAD: {
        AttrVal x = attr_pad(a->pad), y = attr_pad(b->pad);
        return attr_equal(&x, &y);
    }
    case V_LIST:
        for (uint32_t i = 0; i < a->list.n && a->list.n == b->list.n; i++)
            if (!value_equal(&a->list.at[i], &b->list.at[i]))
                return false;
        return a->list.n == b->list.n;
    case V_LAYER:
        return a->closure->op == b->closure->op && a->closure->module == b->closure->module &&
               a->closure->decl.v == b->closure->decl.v && a->closure->bound == b->closure->bound;
    default: return false;
    }
}

static bool as_pad(const Value *v, Pad *out)
{
    int64_t p[4];
    if (v->kind == V_INT) {
        *out = (Pad){PAD_EXPLICIT, v->i, v->i, v->i, v->i};
    } else if (v->kind == V_SIZE) {
        *out = (Pad){PAD_EXPLICIT, v->size.h, v->size.h, v->size.w, v->size.w};
    } else if (v->kind == V_LIST && v->list.n == 4) {
        for (int i = 0; i < 4; i++) {
            if (v->list.at[i].kind != V_INT)
                return false;
            p[i] = v->list.at[i].i;
        }
        *out = (Pad){PAD_EXPLICIT, p[0], p[1], p[2], p[3]};
    } else {
        return false;
    }
    return out->top >= 0 && out->bottom >= 0 && out->left >= 0 && out->right >= 0;
}

static Value as_list(Elaborator *el, Value v, Type t, Span span)
{
    Value *out = arena_new_n(el->a, Value, v.list.n);
    for (uint32_t i = 0; i < v.list.n; i++) {
        out[i] = value_as(el, v.list.at[i], (Type){t.kind, false}, span);
        if (out[i].kind == V_POISON)
            return POISON;
    }
    v.list.at = out;
    return v;
}

Value value_as(Elaborator *el, Value v, Type t, Span span)
{
    Type have = value_type(&v);
    if (v.kind == V_POISON || t.kind == TY_UNKNOWN)
        return v;
    if (v.kind == V_LIST && t.list && type_fits(have, t))
        return as_list(el, v, t, span);
    Value out = {.kind = v.kind, .ordinal = v.ordinal, .lits = v.lits};
    if (t.kind == TY_PAD && !t.list && v.kind != V_PAD) {
        out.kind = V_PAD;
        if (as_pad(&v, &out.pad))
            return out;
        uint32_t d = diag(&el->s->diags, E_TYPE, span, "pad", type_text(have));
        diag_help(&el->s->diags, d, SPAN_NONE,
                  "a padding is same, same_upper, valid, a number, a "
                  "size, or [top, bottom, left, right]");
        return POISON;
    }
    if (!t.list && t.kind == TY_REAL && v.kind == V_INT) {
        out.kind = V_REAL;
        out.r = (double)v.i;
        return out;
    }
    if (!t.list && t.kind == TY_SIZE && v.kind == V_INT) {
        out.kind = V_SIZE;
        out.size = (Size2){v.i, v.i};
        return out;
    }
    if (type_fits(have, t))
        return v;
    diag(&el->s->diags, E_TYPE, span, type_text(t), type_text(have));
    return POISON;
}

/* With as many digits as it takes to read the same number again, and recognisably no int. */
static void print_real(double r, Buf *out)
{
    char text[40];
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, r);
        if (strtod(text, NULL) == r)
            break;
    }
    buf_printf(out, "%s%s", text, strpbrk(text, ".einf") == NULL ? ".0" : "");
}

void value_print(const Value *v, Buf *out)
{
    switch (v->kind) {
    case V_INT: buf_printf(out, "%lld", (long long)v->i); break;
    case V_REAL: print_real(v->r, out); break;
    case V_BOOL: buf_add(out, v->b ? "true" : "false"); break;
    case V_STR: buf_json_string(out, v->str); break;
    case V_SIZE: buf_printf(out, "%lldx%lld", (long long)v->size.h, (long long)v->size.w); break;
    case V_PAD:
        buf_add(out, v->pad.kind == PAD_SAME_SYM  ? "same"
                     : v->pad.kind == PAD_SAME_UP ? "same_upper"
                                                  : "");
        if (v->pad.kind == PAD_EXPLICIT)
            buf_printf(out, "[%lld, %lld, %lld, %lld]", (long long)v->pad.top,
                       (long long)v->pad.bottom, (long long)v->pad.left, (long long)v->pad.right);
        break;
    case V_LIST:
        buf_addc(out, '[');
        for (uint32_t i = 0; i < v->list.n; i++) {
            buf_add(out, i ? ", " : "");
            value_print(&v->list.at[i], out);
        }
        buf_addc(out, ']');
        break;
    case V_LAYER:
        buf_add(out, v->closure->op != OP_NONE ? op_info[v->closure->op].name
                     : v->closure->decl.v == 0
                         ? "identity"
                         : node_at(v->closure->module, v->closure->decl)->sym);
        break;
    default: buf_add(out, "?"); break;
    }
}

Frame *frame_new(Elaborator *el, Frame *parent, const Module *m)
{
    Frame *f = arena_new(el->a, Frame);
    f->parent = parent;
    f->module = m;
    return f;
}

void frame_bind(Elaborator *el, Frame *f, Sym name, Value v)
{
    vec_push(el->a, &f->names, ((Binding){name, v}));
}
