#include "ops/op.h"
#include <string.h>

/* Defaults of ops.def as values: REQUIRED, numbers, or PAD_SAME. Each attribute type reads them its
 * own way; a PAD default of 0 is no padding. */
#define REQUIRED (-1)
#define PAD_SAME (-2)
#define INIT_INT(D)                                                                                \
    {                                                                                              \
        .type = ATTR_INT, .i = (int64_t)(D)                                                        \
    }
#define INIT_BOOL(D)                                                                               \
    {                                                                                              \
        .type = ATTR_BOOL, .i = (int64_t)(D)                                                       \
    }
#define INIT_REAL(D)                                                                               \
    {                                                                                              \
        .type = ATTR_REAL, .r = (double)(D)                                                        \
    }
#define INIT_SIZE(D)                                                                               \
    {                                                                                              \
        .type = ATTR_SIZE, .size = {(int64_t)(D), (int64_t)(D) }                                   \
    }
#define INIT_PAD(D)                                                                                \
    {                                                                                              \
        .type = ATTR_PAD, .pad = {.kind = (D) == PAD_SAME ? PAD_SAME_SYM : PAD_EXPLICIT }          \
    }

/* One row per operator (unused, so that every operator has a first row) and one per attribute. */
#define OP(ID, ...) {NULL, ATTR_INT, false, INIT_INT(0)},
#define A(ID, NAME, TYPE, DEFAULT)                                                                 \
    {#NAME, ATTR_##TYPE, (DEFAULT) == REQUIRED, INIT_##TYPE(DEFAULT)},
static const AttrInfo rows[] = {
#include "ops/ops.def"
};

enum {
#define OP(ID, ...) ROW_##ID,
#define A(ID, NAME, TYPE, DEFAULT) ROW_##ID##_##NAME,
#include "ops/ops.def"
    ROW_END
};

/* The attributes of an operator are counted by the size of a structure with a byte for each. */
struct counted_none {
    char none;
#define OP(ID, ...)                                                                                \
    }                                                                                              \
    ;                                                                                              \
    struct counted_##ID {                                                                          \
        char none;
#define A(ID, NAME, TYPE, DEFAULT) char NAME;
#include "ops/ops.def"
};

const OpInfo op_info[OP_COUNT] = {
    [OP_NONE] = {.name = "none", .doc = ""},
#define OP(ID, NAME, IN, SHAPE, RF, COST, FAMILY, ELEM, GRAD, FLAGS, DOC)                          \
    [OP_##ID] = {.name = NAME,                                                                     \
                 .inputs = IN,                                                                     \
                 .flags = FLAGS,                                                                   \
                 .doc = DOC,                                                                       \
                 .attrs = &rows[ROW_##ID + 1],                                                     \
                 .attr_count = (int)sizeof(struct counted_##ID) - 1},
#include "ops/ops.def"
};

Op op_by_any_name(const char *name)
{
    for (int i = OP_NONE + 1; i < OP_COUNT; i++)
        if (strcmp(op_info[i].name, name) == 0)
            return (Op)i;
    return OP_NONE;
}

Op op_by_name(const char *name)
{
    Op op = op_by_any_name(name);
    return (op_info[op].flags & OPF_INTERNAL) == 0 ? op : OP_NONE;
}

int op_attr_index(Op op, const char *attr)
{
    for (int i = 0; i < op_info[op].attr_count; i++)
        if (strcmp(op_info[op].attrs[i].name, attr) == 0)
            return i;
    return -1;
}

AttrVal attr_int(int64_t v)
{
    return (AttrVal){.type = ATTR_INT, .i = v};
}

AttrVal attr_real(double v)
{
    return (AttrVal){.type = ATTR_REAL, .r = v};
}

AttrVal attr_bool(bool v)
{
    return (AttrVal){.type = ATTR_BOOL, .i = v};
}

AttrVal attr_size(int64_t h, int64_t w)
{
    return (AttrVal){.type = ATTR_SIZE, .size = {h, w}};
}

AttrVal attr_pad(Pad p)
{
    return (AttrVal){.type = ATTR_PAD, .pad = p};
}

static bool pad_equal(const Pad *a, const Pad *b)
{
    if (a->kind != b->kind)
        return false;
    return a->kind != PAD_EXPLICIT || (a->top == b->top && a->bottom == b->bottom &&
                                       a->left == b->left && a->right == b->right);
}

bool attr_equal(const AttrVal *a, const AttrVal *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case ATTR_INT:
    case ATTR_BOOL: return a->i == b->i;
    case ATTR_REAL: return a->r == b->r || (a->r != a->r && b->r != b->r);
    case ATTR_SIZE: return a->size.h == b->size.h && a->size.w == b->size.w;
    case ATTR_PAD: return pad_equal(&a->pad, &b->pad);
    case ATTR_STR: return a->str == b->str || (a->str && b->str && strcmp(a->str, b->str) == 0);
    }
    return false;
}
