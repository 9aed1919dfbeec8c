/* Signatures, and how arguments find their parameters: the same for checking and elaboration. */
#include "sema/sema.h"
#include <string.h>

Signature signature_of_op(Arena *a, Op op)
{
    const OpInfo *o = &op_info[op];
    Formal *f = arena_new_n(a, Formal, (size_t)o->attr_count);
    for (int i = 0; i < o->attr_count; i++)
        f[i] = (Formal){.name = o->attrs[i].name,
                        .type = type_of_attr(o->attrs[i].type),
                        .required = o->attrs[i].required};
    return (Signature){.name = o->name, .formals = f, .count = (uint32_t)o->attr_count};
}

static AstId params_list(const Module *m, AstId decl)
{
    return kid_at(m, decl, node_at(m, decl)->kind == AST_FN ? 0 : 1);
}

Signature signature_of_decl(Arena *a, const Module *m, AstId decl)
{
    const AstNode *d = node_at(m, decl);
    AstId list = params_list(m, decl);
    uint32_t n = kid_count(m, list);
    Formal *f = arena_new_n(a, Formal, n);
    for (uint32_t i = 0; i < n; i++) {
        AstId p = kid_at(m, list, i), type = kid_at(m, p, 0);
        const AstNode *t = node_at(m, type);
        f[i] = (Formal){.name = node_at(m, p)->sym, .span = node_at(m, p)->name_span};
        if (t->kind == AST_TYPE)
            f[i].type = type_by_name(t->sym, (t->flags & AF_LIST) != 0);
        if (kid_count(m, p) > 1)
            f[i].def = kid_at(m, p, 1);
        f[i].required = f[i].def.v == 0;
    }
    return (Signature){.name = d->sym, .module = m, .formals = f, .count = n, .span = d->name_span};
}

static int find_formal(const Signature *sig, const char *name)
{
    for (uint32_t i = 0; i < sig->count; i++)
        if (strcmp(sig->formals[i].name, name) == 0)
            return (int)i;
    return -1;
}

static void unknown_argument(Session *s, const Signature *sig, const AstNode *arg)
{
    const char **names = arena_new_n(&s->arena, const char *, sig->count);
    uint32_t d = diag(&s->diags, E_ARG_UNKNOWN, arg->name_span, sig->name, arg->sym);
    for (uint32_t i = 0; i < sig->count; i++)
        names[i] = sig->formals[i].name;
    if (!diag_nearest(&s->diags, d, arg->name_span, arg->sym, names, sig->count) &&
        sig->span.src != 0)
        diag_note(&s->diags, d, sig->span, "'%s' is declared here", sig->name);
}

bool args_bind(Session *s, const Module *m, const Signature *sig, AstId args, uint32_t skip,
               int32_t *slot)
{
    uint32_t n = kid_count(m, args), position = 0;
    bool ok = true, keyword = false;
    for (uint32_t f = 0; f < sig->count; f++)
        slot[f] = -1;
    for (uint32_t i = 0; i < n; i++) {
        const AstNode *arg = node_at(m, kid_at(m, args, i));
        int f;
        if (arg->sym == NULL) {
            if (keyword) {
                diag(&s->diags, E_VALUE, arg->span,
                     "a positional argument may not follow a named one");
                ok = false;
                continue;
            }
            if (i < skip)
                continue;
            if (position == sig->count) {
                uint32_t d = diag(&s->diags, E_ARG_COUNT, arg->span, sig->name, (int)sig->count,
                                  (int)(n - skip));
                if (sig->span.src != 0)
                    diag_note(&s->diags, d, sig->span, "'%s' is declared here", sig->name);
                return false;
            }
            f = (int)position++;
        } else {
            keyword = true;
            f = find_formal(sig, arg->sym);
            if (f < 0) {
                unknown_argument(s, sig, arg);
                ok = false;
                continue;
            }
        }
        if (slot[f] >= 0) {
            diag(&s->diags, E_ARG_TWICE, arg->span, sig->formals[f].name);
            ok = false;
        }
        slot[f] = (int32_t)i;
    }
    return ok;
}

void args_missing(Session *s, Span call, const Signature *sig, const Formal *f)
{
    uint32_t d = diag(&s->diags, E_ARG_MISSING, call, sig->name, f->name);
    if (f->span.src != 0)
        diag_note(&s->diags, d, f->span, "'%s' has no default", f->name);
}
