/* The operator table: every row is complete and its columns agree with each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>
#include "ops/op.h"

static bool word(const char *s)
{
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz_0123456789");
    return n > 0 && s[n] == 0 && s[0] >= 'a' && s[0] <= 'z';
}

static void test_names(void **state)
{
    (void)state;
    for (int i = OP_NONE + 1; i < OP_COUNT; i++) {
        const OpInfo *o = &op_info[i];
        assert_true(word(o->name));
        assert_true(strlen(o->doc) > 5);
        assert_int_equal(op_by_name(o->name), o->flags & OPF_INTERNAL ? OP_NONE : i);
    }
    assert_int_equal(op_by_name("conv"), OP_CONV);
    assert_int_equal(op_by_name("drop_path"), OP_DROP_PATH);
    assert_int_equal(op_by_name("input"), OP_NONE);
    assert_int_equal(op_by_name("none"), OP_NONE);
    assert_int_equal(op_by_name(""), OP_NONE);
    assert_int_equal(op_by_name("Conv"), OP_NONE);
}

static void test_attributes(void **state)
{
    (void)state;
    for (int i = OP_NONE + 1; i < OP_COUNT; i++) {
        const OpInfo *o = &op_info[i];
        bool optional = false;
        assert_in_range(o->attr_count, 0, OP_MAX_ATTRS);
        for (int k = 0; k < o->attr_count; k++) {
            const AttrInfo *a = &o->attrs[k];
            assert_true(word(a->name));
            assert_int_equal(op_attr_index((Op)i, a->name), k); /* so no name stands twice */
            assert_int_equal(a->def.type, a->type);
            assert_true(attr_equal(&a->def, &a->def));
            /* positions are given from the left: nothing required may follow an option */
            assert_false(a->required && optional);
            optional |= !a->required;
        }
        assert_int_equal(op_attr_index((Op)i, "nonsense"), -1);
        assert_int_equal(op_attr_index((Op)i, ""), -1);
    }
}

/* The compile-time index of every attribute is its place in the table. */
static void test_attribute_indices(void **state)
{
    (void)state;
    int rows = 0, counted = 0;
#define A(ID, NAME, TYPE, DEFAULT)                                                                 \
    assert_int_equal(AT_##ID##_##NAME, op_attr_index(OP_##ID, #NAME));                             \
    assert_int_equal(op_info[OP_##ID].attrs[AT_##ID##_##NAME].type, ATTR_##TYPE);                  \
    rows++;
#include "ops/ops.def"
    for (int i = 0; i < OP_COUNT; i++)
        counted += op_info[i].attr_count;
    assert_int_equal(rows, counted);
}

static void test_flags(void **state)
{
    (void)state;
    for (int i = OP_NONE + 1; i < OP_COUNT; i++) {
        const OpInfo *o = &op_info[i];
        Op op = (Op)i;
        bool training = (o->flags & OPF_INTERNAL) != 0 && op != OP_INPUT;
        assert_in_range(o->inputs + 2, 0, training ? 8 : 3);
        assert_int_equal((o->flags & OPF_MERGE) != 0, o->inputs < 0);
        if (o->flags & (OPF_BACKWARD | OPF_REDUCED))
            assert_true(training);
        if (o->flags & OPF_BACKWARD)
            assert_true(op_attr_index(op, "of") == AT_BACKWARD_of &&
                        op_attr_index(op, "c") == AT_BACKWARD_c &&
                        op_attr_index(op, "h") == AT_BACKWARD_h &&
                        op_attr_index(op, "w") == AT_BACKWARD_w &&
                        op_attr_index(op, "flat") == AT_BACKWARD_flat);
        assert_int_equal(o->inputs == 0, op == OP_INPUT);
        if (o->flags & OPF_WINDOW) {
            assert_true(op_attr_index(op, "k") >= 0 && op_attr_index(op, "stride") >= 0 &&
                        op_attr_index(op, "pad") >= 0);
            assert_true(o->flags & OPF_COUNTED);
        }
        if (o->flags & OPF_COUNTED)
            assert_true(o->flags & (OPF_WEIGHTS | OPF_WINDOW));
        if (o->flags & OPF_TRAIN_ONLY)
            assert_false(o->flags & (OPF_WEIGHTS | OPF_COUNTED | OPF_ELEM));
        assert_false((o->flags & OPF_NORM) && (o->flags & OPF_COUNTED));
    }
}

/* Defaults that PyTorch documents for the same layers. */
static void test_defaults(void **state)
{
    (void)state;
#define DEF(OP_, AT_) (op_info[OP_].attrs[AT_].def)
    assert_true(op_info[OP_CONV].attrs[AT_CONV_k].required);
    assert_int_equal(DEF(OP_CONV, AT_CONV_pad).pad.kind, PAD_SAME_SYM);
    assert_int_equal(DEF(OP_CONV, AT_CONV_stride).size.w, 1);
    assert_int_equal(DEF(OP_CONV, AT_CONV_groups).i, 1);
    assert_int_equal(DEF(OP_CONV, AT_CONV_bias).i, 1);
    assert_int_equal(DEF(OP_MAXPOOL, AT_MAXPOOL_stride).size.h, 0); /* the kernel's */
    assert_int_equal(DEF(OP_MAXPOOL, AT_MAXPOOL_pad).pad.kind, PAD_EXPLICIT);
    assert_int_equal(DEF(OP_AVGPOOL, AT_AVGPOOL_count_include_pad).i, 1);
    assert_true(DEF(OP_BN, AT_BN_eps).r == 1e-5);
    assert_true(DEF(OP_LRN, AT_LRN_alpha).r == 1e-4 && DEF(OP_LRN, AT_LRN_k).r == 1.0);
    assert_true(DEF(OP_LEAKY, AT_LEAKY_slope).r == 0.01);
}

static void test_equality(void **state)
{
    (void)state;
    static const Pad same = {PAD_SAME_SYM, 1, 2, 3, 4}, same2 = {PAD_SAME_SYM, 0, 0, 0, 0},
                     up = {PAD_SAME_UP, 0, 0, 0, 0};
    AttrVal v[] = {attr_int(1),
                   attr_int(2),
                   attr_bool(true),
                   attr_real(1),
                   attr_real(NAN),
                   attr_size(3, 5),
                   attr_size(5, 3),
                   attr_size(3, 3),
                   attr_pad(same),
                   attr_pad(up),
                   attr_pad((Pad){0}),
                   attr_pad((Pad){PAD_EXPLICIT, 1, 0, 0, 0}),
                   attr_pad((Pad){PAD_EXPLICIT, 0, 1, 0, 0}),
                   attr_pad((Pad){PAD_EXPLICIT, 0, 0, 1, 0}),
                   attr_pad((Pad){PAD_EXPLICIT, 0, 0, 0, 1}),
                   {.type = ATTR_STR, .str = "a"},
                   {.type = ATTR_STR, .str = "b"},
                   {.type = ATTR_STR, .str = NULL}};
    size_t n = sizeof v / sizeof *v;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (attr_equal(&v[i], &v[k]) != (i == k))
                fail_msg("values %zu and %zu", i, k);
    char text[] = "a";
    AttrVal other = {.type = ATTR_STR, .str = text}, pad = attr_pad(same2);
    assert_true(attr_equal(&v[15], &other)); /* texts, not pointers */
    assert_true(attr_equal(&v[8], &pad));    /* sides mean nothing under `same` */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_attribute_indices),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_equality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
