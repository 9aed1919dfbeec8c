/* mma.sync of the emulator of tests/simt: which lane holds which element, as the tables of the PTX
 * manual name them, for every shape and type that is known. */
#include "simt_case.h"
#include <math.h>

typedef enum Kind { BF16, F16, TF32 } Kind;

typedef struct Shape {
    const char *name;
    Kind kind;
    int depth;
} Shape;

static const Shape shapes[] = {
    {"m16n8k16.row.col.bf16", BF16, 16},   {"m16n8k8.row.col.bf16", BF16, 8},
    {"m16n8k16.row.col.f32.f32", F16, 16}, {"m16n8k8.row.col.f32.f32", F16, 8},
    {"m16n8k8.row.col.tf32", TF32, 8},     {"m16n8k4.row.col.tf32", TF32, 4},
};

/* Where element i of a lane's part of A or B stands. group: lane / 4, in: lane % 4. */
static void place_a(const Shape *s, int lane, int i, int *row, int *column)
{
    int group = lane / 4, in = lane % 4;
    if (s->kind == TF32) {
        *row = group + (i % 2 ? 8 : 0);
        *column = in + (i < 2 ? 0 : 4);
    } else {
        *row = group + (i % 4 < 2 ? 0 : 8);
        *column = in * 2 + (i & 1) + (i < 4 ? 0 : 8);
    }
}

static void place_b(const Shape *s, int lane, int i, int *row, int *column)
{
    int group = lane / 4, in = lane % 4;
    *column = group;
    if (s->kind == TF32)
        *row = in + (i ? 4 : 0);
    else
        *row = in * 2 + (i & 1) + (i < 2 ? 0 : 8);
}

static void place_c(int lane, int i, int *row, int *column)
{
    *row = lane / 4 + (i < 2 ? 0 : 8);
    *column = lane % 4 * 2 + (i & 1);
}

/* Small eighths are exact in every type; tf32 operands get bits that must not count. */
static uint32_t encode(Kind kind, float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    if (kind == BF16)
        return u >> 16;
    if (kind == TF32)
        return u | 0x1abc;
    int exponent = (int)(u >> 23 & 255) - 127;
    uint32_t sign = u >> 16 & 0x8000;
    return f == 0 ? sign : sign | (uint32_t)(exponent + 15) << 10 | (u >> 13 & 1023);
}

static float eighths(uint32_t i)
{
    return (float)((int)(i * 2654435761u >> 28) - 8 + (i % 3 == 0)) / 8;
}

typedef struct Operands {
    float a[16][16], b[16][8], c[16][8];
    uint32_t word[32][10]; /* the registers of each lane */
    int words;
} Operands;

static void put_words(Operands *o, const Shape *s, int lane)
{
    int row, column, per = s->kind == TF32 ? 1 : 2;
    int na = 16 * s->depth / 32 / per, nb = 8 * s->depth / 32 / per;
    uint32_t *w = o->word[lane];
    for (int i = 0; i < na * per; i++) {
        place_a(s, lane, i, &row, &column);
        w[i / per] |= encode(s->kind, o->a[row][column]) << 16 * (i % per);
    }
    for (int i = 0; i < nb * per; i++) {
        place_b(s, lane, i, &row, &column);
        w[na + i / per] |= encode(s->kind, o->b[row][column]) << 16 * (i % per);
    }
    for (int i = 0; i < 4; i++) {
        place_c(lane, i, &row, &column);
        memcpy(&w[na + nb + i], &o->c[row][column], 4);
    }
    o->words = na + nb + 4;
}

static void make_operands(Operands *o, const Shape *s)
{
    *o = (Operands){0};
    for (uint32_t i = 0; i < 16; i++)
        for (uint32_t k = 0; k < 16; k++) {
            o->a[i][k] = eighths(16 * i + k);
            if (k < 8) {
                o->b[i][k] = eighths(1000 + 8 * i + k);
                o->c[i][k] = eighths(2000 + 8 * i + k);
            }
        }
    for (int l = 0; l < 32; l++)
        put_words(o, s, l);
}

/* y[4 * lane + i] = d[i], with the lane's registers from x[10 * lane ...]. */
static SimtModule *make_kernel(const Shape *s, int words)
{
    static char text[8192];
    int n = snprintf(text, sizeof text,
                     "define ptx_kernel void @k(ptr addrspace(1) %%x, ptr addrspace(1) %%y) {\n"
                     "  %%t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()\n"
                     "  %%xo = mul i32 %%t, 10\n  %%yo = mul i32 %%t, 4\n"
                     "  %%xp = getelementptr i32, ptr addrspace(1) %%x, i32 %%xo\n"
                     "  %%yp = getelementptr i32, ptr addrspace(1) %%y, i32 %%yo\n");
    for (int i = 0; i < words; i++) {
        const char *type = i >= words - 4 ? "float" : s->kind == F16 ? "<2 x half>" : "i32";
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "  %%p%d = getelementptr i32, ptr addrspace(1) %%xp, i32 %d\n"
                      "  %%w%d = load %s, ptr addrspace(1) %%p%d, align 4\n",
                      i, i, i, type, i);
    }
    n += snprintf(text + n, sizeof text - (size_t)n,
                  "  %%d = call { float, float, float, float } @llvm.nvvm.mma.%s(", s->name);
    for (int i = 0; i < words; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%s%s %%w%d", i ? ", " : "",
                      i >= words - 4   ? "float"
                      : s->kind == F16 ? "<2 x half>"
                                       : "i32",
                      i);
    n += snprintf(text + n, sizeof text - (size_t)n, ")\n");
    for (int i = 0; i < 4; i++)
        n += snprintf(text + n, sizeof text - (size_t)n,
                      "  %%d%d = extractvalue { float, float, float, float } %%d, %d\n"
                      "  %%q%d = getelementptr float, ptr addrspace(1) %%yp, i32 %d\n"
                      "  store float %%d%d, ptr addrspace(1) %%q%d, align 4\n",
                      i, i, i, i, i, i);
    snprintf(text + n, sizeof text - (size_t)n, "  ret void\n}\n");
    SimtModule *m = simt_load_text(text, strlen(text), CHECKED, case_error, sizeof case_error);
    if (!m)
        fail_msg("%s: %s", s->name, case_error);
    return m;
}

static void check_shape(const Shape *s)
{
    static Operands o;
    int row, column;
    make_operands(&o, s);
    SimtModule *m = make_kernel(s, o.words);
    uint32_t *x = buffer(320);
    float *y = buffer(128);
    memcpy(x, o.word, sizeof o.word);
    void *args[] = {&x, &y};
    launch(m, "k", 1, 32, 0, args);
    expect_clean();
    for (int l = 0; l < 32; l++)
        for (int i = 0; i < 4; i++) {
            place_c(l, i, &row, &column);
            float sum = o.c[row][column];
            for (int k = 0; k < s->depth; k++)
                sum += o.a[row][k] * o.b[k][column];
            if (y[4 * l + i] != sum)
                fail_msg("%s: d[%d][%d] is %g, not %g", s->name, row, column, (double)y[4 * l + i],
                         (double)sum);
        }
    simt_unload(m);
    release(x);
    release(y);
}

static void test_mma(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_shape(&shapes[i]);
    assert_int_equal(simt_report()->matrix_ops, sizeof shapes / sizeof *shapes);
}

/* All lanes must be there, and at the same instruction. */
static void test_mma_of_a_part(void **state)
{
    (void)state;
    static Operands o;
    make_operands(&o, &shapes[0]);
    SimtModule *m = make_kernel(&shapes[0], o.words);
    uint32_t *x = buffer(320), *y = buffer(128);
    memcpy(x, o.word, sizeof o.word);
    void *args[] = {&x, &y};
    launch(m, "k", 1, 16, 0, args);
    expect_fault(SIMT_BARRIER, 1, "k");
    simt_unload(m);
    release(x);
    release(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {SIMT_TEST(test_mma), SIMT_TEST(test_mma_of_a_part)};
    return cmocka_run_group_tests_name("simt_matrix", tests, NULL, NULL);
}
