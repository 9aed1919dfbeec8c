/* train { }, refine { } and annotations against their tables. */
#include "sema/check.h"
#include "sema/section.h"
#include <string.h>

static const char *const section_names[] = {"train", "refine"};

static void did_you_mean(Checker *c, uint32_t d, Sym name, Span span, const char *const *names,
                         size_t n)
{
    Buf all = {0};
    if (diag_nearest(&c->s->diags, d, span, name, names, n))
        return;
    for (size_t i = 0; i < n; i++)
        buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
    if (buf_ok(&all) && n > 0)
        diag_help(&c->s->diags, d, SPAN_NONE, "known are: %s", all.at);
    buf_free(&all);
}

/* The row of a call, or -1 after reporting. */
static int find_call(Checker *c, SectionValue kind, Sym name, Span span)
{
    const char *names[SECTION_ROWS];
    size_t n = 0;
    int at = section_find(kind, name);
    if (at >= 0)
        return at;
    for (int i = 0; i < SECTION_ROWS; i++)
        if (section_row[i].is_call && section_row[i].value == kind)
            names[n++] = section_row[i].name;
    did_you_mean(c, diag(&c->s->diags, E_UNDEFINED, span, name), name, span, names, n);
    return -1;
}

static void check_head(Checker *c, AstId value)
{
    const AstNode *x = node_at(c->m, value);
    const char *names[16];
    size_t n = 0;
    for (uint32_t i = 0; i < c->locals.len; i++) {
        const Local *l = &c->locals.at[i];
        if (l->kind != LOCAL_HEAD)
            continue;
        if (x->kind == AST_NAME && l->name == x->sym)
            return;
        if (n < 16)
            names[n++] = l->name;
    }
    if (x->kind != AST_NAME)
        diag(&c->s->diags, E_TYPE, x->span, "the name of a head", "another expression");
    else
        did_you_mean(c, diag(&c->s->diags, E_UNDEFINED, x->span, x->sym), x->sym, x->span, names,
                     n);
}

static void add_quotes(Checker *c, uint32_t d, const AstNode *name)
{
    diag_fix(&c->s->diags, d, name->span, arena_printf(&c->s->arena, "\"%s\"", name->sym),
             "texts stand in double quotes");
}

static void check_word(Checker *c, const char *key, AstId value)
{
    const AstNode *x = node_at(c->m, value);
    const char *names[8];
    size_t n = 0;
    for (int i = 0; n < 8 && section_word(key, i) != NULL; i++)
        names[n++] = section_word(key, i);
    for (size_t i = 0; x->kind == AST_NAME && i < n; i++)
        if (strcmp(names[i], x->sym) == 0 && scope_find(c, x->sym) == NULL) {
            uint32_t d = diag(&c->s->diags, E_TYPE, x->span, "str", "a name");
            add_quotes(c, d, x);
            return;
        }
    check_as(c, value, TYPE(STR));
    if (x->kind != AST_STRING || section_takes(key, x->sym))
        return;
    uint32_t d = diag(&c->s->diags, E_VALUE, x->span,
                      arena_printf(&c->s->arena, "%s cannot be \"%s\"", key, x->sym));
    did_you_mean(c, d, x->sym, (Span){x->span.src, x->span.lo + 1, x->span.hi - 1}, names, n);
}

static void check_value(Checker *c, const char *name, AstId value, SectionValue want)
{
    static const Type types[] = {
        [SV_INT] = {TY_INT, false}, [SV_REAL] = {TY_REAL, false}, [SV_BOOL] = {TY_BOOL, false}};
    if (want == SV_HEAD)
        check_head(c, value);
    else if (want == SV_STR)
        check_word(c, name, value);
    else
        check_as(c, value, types[want]);
}

/* The arguments of the call in row `at`; the same rules as args_bind. */
static void check_call_args(Checker *c, int at, AstId args, Span span)
{
    int n = section_arg_count(at);
    const SectionRow *arg = &section_row[at + 1];
    Formal formal[SECTION_ROWS];
    int32_t slot[SECTION_ROWS];
    for (int i = 0; i < n; i++)
        formal[i] = (Formal){.name = arg[i].name, .required = isnan(arg[i].def)};
    Signature sig = {.name = section_row[at].name, .formals = formal, .count = (uint32_t)n};
    if (!args_bind(c->s, c->m, &sig, args, 0, slot))
        return;
    for (int i = 0; i < n; i++) {
        if (slot[i] >= 0)
            check_value(c, arg[i].name, kid_at(c->m, kid_at(c->m, args, (uint32_t)slot[i]), 0),
                        arg[i].value);
        else if (formal[i].required)
            args_missing(c->s, span, &sig, &formal[i]);
    }
}

static void check_table_call(Checker *c, SectionValue kind, AstId n)
{
    const AstNode *x = node_at(c->m, n);
    AstId callee = x->kind == AST_CALL ? kid_at(c->m, n, 0) : n;
    const AstNode *name = node_at(c->m, callee);
    if (name->kind == AST_POISON)
        return;
    if (name->kind != AST_NAME) {
        diag(&c->s->diags, E_TYPE, x->span,
             kind == SV_LOSS        ? "a loss such as cross_entropy(head)"
             : kind == SV_OPTIMIZER ? "an optimizer such as sgd(lr=0.1)"
             : kind == SV_SCHEDULE  ? "a schedule such as cosine()"
                                    : "an augmentation such as hflip",
             "another expression");
        return;
    }
    int at = find_call(c, kind, name->sym, name->span);
    if (at >= 0)
        check_call_args(c, at, x->kind == AST_CALL ? kid_at(c->m, n, 1) : AST_NIL, x->span);
}

/* a + 0.3 * b */
static void check_loss(Checker *c, AstId n)
{
    const AstNode *x = node_at(c->m, n);
    if (x->kind == AST_BINARY && x->op == BIN_ADD) {
        check_loss(c, kid_at(c->m, n, 0));
        check_loss(c, kid_at(c->m, n, 1));
    } else if (x->kind == AST_BINARY && x->op == BIN_MUL) {
        check_as(c, kid_at(c->m, n, 0), TYPE(REAL));
        check_loss(c, kid_at(c->m, n, 1));
    } else {
        check_table_call(c, SV_LOSS, n);
    }
}

static void check_augment(Checker *c, AstId n)
{
    if (node_at(c->m, n)->kind != AST_CHAIN) {
        check_table_call(c, SV_AUGMENT, n);
        return;
    }
    check_table_call(c, SV_AUGMENT, kid_at(c->m, n, 0));
    for (uint32_t i = 1; i < kid_count(c->m, n); i++) {
        AstId step = kid_at(c->m, n, i);
        const AstNode *x = node_at(c->m, step);
        if (x->kind != AST_STEP) {
            diag(&c->s->diags, E_VALUE, x->span, "augmentations form one plain chain");
            continue;
        }
        const AstNode *name = node_at(c->m, kid_at(c->m, step, 1));
        int at = name->kind == AST_NAME ? find_call(c, SV_AUGMENT, name->sym, name->span) : -1;
        if (at >= 0)
            check_call_args(c, at, kid_at(c->m, step, 2), x->span);
    }
}

/* params <= 1.02 and macs <= 2: quantities relative to the network before. */
static void check_budget(Checker *c, AstId n)
{
    static const char *const quantities[] = {"params", "macs", "memory"};
    const AstNode *x = node_at(c->m, n);
    if (x->kind == AST_BINARY && x->op == BIN_AND) {
        check_budget(c, kid_at(c->m, n, 0));
        check_budget(c, kid_at(c->m, n, 1));
        return;
    }
    const AstNode *l = x->kind == AST_BINARY ? node_at(c->m, kid_at(c->m, n, 0)) : x;
    if (x->kind != AST_BINARY || (x->op != BIN_LE && x->op != BIN_LT) || l->kind != AST_NAME) {
        diag(&c->s->diags, E_TYPE, x->span, "a bound such as params <= 1.02", "another expression");
        return;
    }
    bool known = false;
    for (size_t i = 0; i < 3; i++)
        known = known || strcmp(quantities[i], l->sym) == 0;
    if (!known)
        did_you_mean(c, diag(&c->s->diags, E_UNDEFINED, l->span, l->sym), l->sym, l->span,
                     quantities, 3);
    check_as(c, kid_at(c->m, n, 1), TYPE(REAL));
}

static void check_pair(Checker *c, AstId pair, const SectionKey *k)
{
    AstId value = kid_at(c->m, pair, 0);
    switch (k->value) {
    case SV_LOSS: check_loss(c, value); break;
    case SV_OPTIMIZER:
    case SV_SCHEDULE: check_table_call(c, k->value, value); break;
    case SV_AUGMENT: check_augment(c, value); break;
    case SV_BUDGET: check_budget(c, value); break;
    default: check_value(c, k->name, value, k->value);
    }
}

void check_section(Checker *c, AstId section)
{
    int which = node_at(c->m, section)->kind == AST_TRAIN ? SECTION_TRAIN : SECTION_REFINE;
    for (uint32_t i = 0; i < kid_count(c->m, section); i++) {
        AstId pair = kid_at(c->m, section, i);
        const AstNode *x = node_at(c->m, pair);
        const char *names[SECTION_KEYS];
        const SectionKey *found = NULL;
        size_t n = 0;
        if (x->kind != AST_PAIR)
            continue;
        for (int k = 0; k < SECTION_KEYS; k++) {
            if (section_key[k].section != which)
                continue;
            if (strcmp(section_key[k].name, x->sym) == 0)
                found = &section_key[k];
            names[n++] = section_key[k].name;
        }
        if (found == NULL) {
            uint32_t d =
                diag(&c->s->diags, E_SECTION_KEY, x->name_span, section_names[which], x->sym);
            did_you_mean(c, d, x->sym, x->name_span, names, n);
            continue;
        }
        for (uint32_t k = 0; k < i; k++)
            if (node_at(c->m, kid_at(c->m, section, k))->sym == x->sym)
                diag(&c->s->diags, E_ARG_TWICE, x->name_span, x->sym);
        check_pair(c, pair, found);
    }
}

/* A lint that is written as a text, or with '-': what is meant is plain. */
static DiagCode misspelt_lint(Checker *c, const AstNode *lint)
{
    Span at = lint->span;
    if (lint->kind == AST_STRING)
        return diag_lint(lint->sym);
    if (lint->kind != AST_BINARY || lint->op != BIN_SUB)
        return DIAG_COUNT;
    return diag_lint(arena_strndup(&c->s->arena, c->m->ast->text + at.lo, at.hi - at.lo));
}

static void check_allow(Checker *c, const AstNode *x, AstId args)
{
    uint32_t n = kid_count(c->m, args);
    const AstNode *lint = n > 0 ? node_at(c->m, kid_at(c->m, kid_at(c->m, args, 0), 0)) : NULL;
    const AstNode *why = n > 1 ? node_at(c->m, kid_at(c->m, kid_at(c->m, args, 1), 0)) : NULL;
    if (lint == NULL || lint->kind != AST_NAME || n != 2 || why->kind != AST_STRING) {
        uint32_t d = diag(&c->s->diags, E_ANNOTATION, x->span, x->sym,
                          "give a lint and a reason: @allow(lint, \"reason\")");
        DiagCode meant = lint != NULL ? misspelt_lint(c, lint) : DIAG_COUNT;
        if (meant < DIAG_COUNT)
            diag_fix(&c->s->diags, d, lint->span, diag_info[meant].lint, "the lint is called %s",
                     diag_info[meant].lint);
        return;
    }
    if (diag_lint(lint->sym) < DIAG_COUNT)
        return;
    const char *names[DIAG_COUNT];
    size_t count = 0;
    for (int i = 0; i < DIAG_COUNT; i++)
        if (diag_info[i].lint != NULL)
            names[count++] = diag_info[i].lint;
    uint32_t d = diag(&c->s->diags, E_ANNOTATION, lint->span, x->sym,
                      arena_printf(&c->s->arena, "there is no lint '%s'", lint->sym));
    did_you_mean(c, d, lint->sym, lint->span, names, count);
}

static void wrong_dtype(Checker *c, const AstNode *x, const AstNode *arg, const char *const *dtypes)
{
    uint32_t d = diag(&c->s->diags, E_ANNOTATION, x->span, x->sym, "takes f32, f16 or bf16");
    for (size_t k = 0; k < 3 && arg != NULL && arg->kind == AST_STRING; k++)
        if (strcmp(dtypes[k], arg->sym) == 0)
            diag_fix(&c->s->diags, d, arg->span, dtypes[k], "it is a name, not a text");
}

void check_annotations(Checker *c, AstId annots)
{
    static const char *const dtypes[] = {"f32", "f16", "bf16"};
    static const char *const names[] = {"allow", "frozen", "name", "dtype"};
    for (uint32_t i = 0; i < kid_count(c->m, annots); i++) {
        AstId n = kid_at(c->m, annots, i), args = kid_at(c->m, n, 0);
        const AstNode *x = node_at(c->m, n);
        uint32_t count = kid_count(c->m, args);
        const AstNode *first =
            count == 1 ? node_at(c->m, kid_at(c->m, kid_at(c->m, args, 0), 0)) : NULL;
        if (strcmp(x->sym, "allow") == 0) {
            check_allow(c, x, args);
        } else if (strcmp(x->sym, "frozen") == 0) {
            if (count > 0)
                diag(&c->s->diags, E_ANNOTATION, x->span, x->sym, "takes no arguments");
        } else if (strcmp(x->sym, "name") == 0) {
            if (first == NULL || first->kind != AST_STRING) {
                uint32_t d = diag(&c->s->diags, E_ANNOTATION, x->span, x->sym, "takes one text");
                if (first != NULL && first->kind == AST_NAME)
                    add_quotes(c, d, first);
            }
        } else if (strcmp(x->sym, "dtype") == 0) {
            bool known = false;
            for (size_t k = 0; k < 3 && first != NULL && first->kind == AST_NAME; k++)
                known = known || strcmp(dtypes[k], first->sym) == 0;
            if (!known)
                wrong_dtype(c, x, first, dtypes);
        } else {
            uint32_t d = diag(&c->s->diags, E_ANNOTATION, x->span, x->sym, "is not known");
            did_you_mean(c, d, x->sym, x->name_span, names, 4);
        }
    }
}
