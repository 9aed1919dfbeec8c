/* Types, and what every file knows without declaring it. */
#include "sema/sema.h"
#include <string.h>

static const char *const type_names[][2] = {
    [TY_UNKNOWN] = {"unknown", "list"},         [TY_INT] = {"int", "list of int"},
    [TY_REAL] = {"real", "list of real"},       [TY_BOOL] = {"bool", "list of bool"},
    [TY_STR] = {"str", "list of str"},          [TY_SIZE] = {"size", "list of size"},
    [TY_PAD] = {"pad", "list of pad"},          [TY_LAYER] = {"layer", "list of layer"},
    [TY_TENSOR] = {"tensor", "list of tensor"}, [TY_FUNCTION] = {"function", "list of function"},
    [TY_NET] = {"net", "list of net"}};

const char *type_text(Type t)
{
    return type_names[t.kind][t.list];
}

Type type_of_attr(AttrType t)
{
    static const TypeKind kind[] = {
        [ATTR_INT] = TY_INT,   [ATTR_REAL] = TY_REAL, [ATTR_BOOL] = TY_BOOL,
        [ATTR_SIZE] = TY_SIZE, [ATTR_PAD] = TY_PAD,   [ATTR_STR] = TY_STR};
    return (Type){kind[t], false};
}

Type type_by_name(Sym name, bool list)
{
    for (int k = TY_INT; k <= TY_TENSOR; k++)
        if (strcmp(type_names[k][0], name) == 0)
            return (Type){(TypeKind)k, list};
    return (Type){TY_UNKNOWN, list};
}

bool type_fits(Type from, Type to)
{
    if (to.kind == TY_UNKNOWN || (from.kind == TY_UNKNOWN && !from.list))
        return true;
    if (from.kind == TY_UNKNOWN) /* the empty list */
        return to.list;
    if (to.kind == TY_PAD && !to.list)
        return from.kind == TY_PAD ? !from.list
                                   : from.kind == TY_INT || (from.kind == TY_SIZE && !from.list);
    if (from.list != to.list)
        return false;
    return from.kind == to.kind ||
           (from.kind == TY_INT &&
            (to.kind == TY_REAL || to.kind == TY_SIZE || to.kind == TY_PAD)) ||
           (from.kind == TY_SIZE && to.kind == TY_PAD);
}

const BuiltinInfo builtin_info[BUILTIN_COUNT] = {
#define INT 'I'
#define REAL 'R'
#define JOIN 'J'
#define FUNCTION(ID, NAME, LEAST, MOST, RESULT, DOC) [BUILTIN_##ID] = {NAME, LEAST, MOST, RESULT},
#include "sema/builtin.def"
};

static const struct {
    const char *name;
    PadKind kind;
} paddings[] = {
#define PADDING(NAME, KIND) {NAME, KIND},
#include "sema/builtin.def"
};

static Ref lookup_builtin(Sym name)
{
    Op op = op_by_name(name);
    if (op != OP_NONE)
        return (Ref){.kind = REF_OP, .op = op};
    for (int i = 0; i < BUILTIN_COUNT; i++)
        if (strcmp(builtin_info[i].name, name) == 0)
            return (Ref){.kind = REF_FUNCTION, .function = (Builtin)i};
    for (size_t i = 0; i < sizeof paddings / sizeof *paddings; i++)
        if (strcmp(paddings[i].name, name) == 0)
            return (Ref){.kind = REF_PADDING, .padding = paddings[i].kind};
    if (strcmp(name, "identity") == 0)
        return (Ref){.kind = REF_IDENTITY};
    return (Ref){.kind = REF_NONE};
}

const Decl *module_decl(const Module *m, Sym name)
{
    uint32_t at = map_get(&m->decl_index, (uintptr_t)name);
    return at != 0 ? &m->decls.at[at - 1] : NULL;
}

Ref module_lookup(const Module *m, Sym name)
{
    const Decl *d = module_decl(m, name);
    if (d != NULL)
        return (Ref){.kind = REF_DECL, .module = m, .node = d->node};
    for (uint32_t i = 0; i < m->imports.len; i++) {
        Import *in = &m->imports.at[i];
        if (in->alias != NULL || in->module == NULL || (d = module_decl(in->module, name)) == NULL)
            continue;
        in->used = true;
        return (Ref){.kind = REF_DECL, .module = in->module, .node = d->node};
    }
    return lookup_builtin(name);
}

Ref module_lookup_in(const Module *m, Sym alias, Sym name, bool *is_alias)
{
    *is_alias = false;
    for (uint32_t i = 0; i < m->imports.len; i++) {
        Import *in = &m->imports.at[i];
        if (in->alias != alias)
            continue;
        *is_alias = in->used = true;
        const Decl *d = in->module != NULL ? module_decl(in->module, name) : NULL;
        if (d != NULL)
            return (Ref){.kind = REF_DECL, .module = in->module, .node = d->node};
    }
    return (Ref){.kind = REF_NONE};
}
