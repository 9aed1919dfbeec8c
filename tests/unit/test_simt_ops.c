/* Each operation that the emulator of tests/simt knows, against its definition in the PTX manual.
 */
#include "simt_case.h"
#include <math.h>

static char text[8192];

/* A kernel of one warp: y[lane * results + k] = result k of `body`, whose operands are x[lane] as
 * %i (i32), %f (float), and the lane as %t. `type`: of the results. */
static void run_body(const char *body, const char *type, int results, const uint32_t *x,
                     uint32_t *out)
{
    int n = snprintf(text, sizeof text,
                     "@s = internal addrspace(3) global [512 x i16] undef, align 128\n"
                     "define ptx_kernel void @k(ptr addrspace(1) %%x, ptr addrspace(1) %%y) {\n"
                     "  %%t = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()\n"
                     "  %%xp = getelementptr i32, ptr addrspace(1) %%x, i32 %%t\n"
                     "  %%i = load i32, ptr addrspace(1) %%xp, align 4\n"
                     "  %%f = bitcast i32 %%i to float\n"
                     "%s\n  %%o = mul i32 %%t, %d\n"
                     "  %%yp = getelementptr i32, ptr addrspace(1) %%y, i32 %%o\n",
                     body, results);
    for (int k = 0; k < results; k++) {
        if (results > 1)
            n += snprintf(text + n, sizeof text - (size_t)n,
                          "  %%r%d = extractvalue %s %%r, %d\n"
                          "  %%p%d = getelementptr i32, ptr addrspace(1) %%yp, i32 %d\n"
                          "  store %s %%r%d, ptr addrspace(1) %%p%d, align 4\n",
                          k, type, k, k, k, strstr(type, "float") ? "float" : "i32", k, k);
        else
            n += snprintf(text + n, sizeof text - (size_t)n,
                          "  store %s %%r, ptr addrspace(1) %%yp, align 4\n", type);
    }
    snprintf(text + n, sizeof text - (size_t)n, "  ret void\n}\n");
    SimtModule *m = simt_load_text(text, strlen(text), CHECKED, case_error, sizeof case_error);
    if (!m)
        fail_msg("%s\n%s", case_error, text);
    uint32_t *dx = buffer(32), *dy = buffer((size_t)(32 * results));
    memcpy(dx, x, 128);
    void *args[] = {&dx, &dy};
    launch(m, "k", 1, 32, 0, args);
    expect_clean();
    memcpy(out, dy, (size_t)results * 128);
    simt_unload(m);
    release(dx);
    release(dy);
}

static uint32_t as_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static float as_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

static uint32_t lanes[32];

static int fill_lanes(void **state)
{
    for (uint32_t l = 0; l < 32; l++)
        lanes[l] = 1000 + 17 * l;
    return fresh_report(state);
}

/* With segments of 32 and of 8 lanes; clamps as CUDA's headers set them. */
static void test_shuffles(void **state)
{
    (void)state;
    static const char *const modes[] = {"up", "down", "bfly", "idx"};
    char body[256];
    uint32_t out[32];
    for (int mode = 0; mode < 4; mode++)
        for (int width = 8; width <= 32; width += 24)
            for (int by = 0; by < 9; by += 3) {
                int control = (32 - width) << 8 | (mode == 0 ? 0 : 31);
                snprintf(body, sizeof body,
                         "  %%r = call i32 @llvm.nvvm.shfl.sync.%s.i32(i32 -1, i32 %%i, i32 %d, "
                         "i32 %d)",
                         modes[mode], by, control);
                run_body(body, "i32", 1, lanes, out);
                for (int l = 0; l < 32; l++) {
                    int first = l / width * width, in = l - first;
                    int from = mode == 0   ? in - by
                               : mode == 1 ? in + by
                               : mode == 2 ? in ^ by
                                           : by % width;
                    if (from < 0 || from >= width)
                        from = in;
                    assert_int_equal(out[l], lanes[first + from]);
                }
            }
}

static void test_shuffle_of_floats(void **state)
{
    (void)state;
    uint32_t out[64];
    run_body("  %p = call { float, i1 } @llvm.nvvm.shfl.sync.down.f32p(i32 -1, float %f, i32 4, "
             "i32 31)\n"
             "  %v = extractvalue { float, i1 } %p, 0\n  %b = bitcast float %v to i32\n"
             "  %c = extractvalue { float, i1 } %p, 1\n  %d = zext i1 %c to i32\n"
             "  %q = insertvalue { i32, i32 } poison, i32 %b, 0\n"
             "  %r = insertvalue { i32, i32 } %q, i32 %d, 1",
             "{ i32, i32 }", 2, lanes, out);
    for (int l = 0; l < 32; l++) {
        assert_int_equal(out[2 * l], lanes[l + 4 < 32 ? l + 4 : l]);
        assert_int_equal(out[2 * l + 1], l + 4 < 32);
    }
}

static void test_votes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t threshold, expected;
    } cases[] = {{"all", 32, 1}, {"all", 31, 0}, {"any", 1, 1},  {"any", 0, 0},
                 {"uni", 32, 1}, {"uni", 0, 1},  {"uni", 16, 0}, {"ballot", 5, 31}};
    char body[256];
    uint32_t out[32];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool ballot = !strcmp(cases[i].name, "ballot");
        snprintf(body, sizeof body,
                 "  %%c = icmp ult i32 %%t, %u\n"
                 "  %%v = call %s @llvm.nvvm.vote.%s.sync(i32 -1, i1 %%c)\n  %%r = %s",
                 cases[i].threshold, ballot ? "i32" : "i1", cases[i].name,
                 ballot ? "add i32 %v, 0" : "zext i1 %v to i32");
        run_body(body, "i32", 1, lanes, out);
        for (int l = 0; l < 32; l++)
            assert_int_equal(out[l], cases[i].expected);
    }
}

static void test_reductions(void **state)
{
    (void)state;
    static const char *const names[] = {"add", "min", "max", "umin", "umax", "and", "or", "xor"};
    uint32_t x[32], expected[8] = {0, 0, 0, UINT32_MAX, 0, UINT32_MAX, 0, 0}, out[32];
    int32_t least = INT32_MAX, most = INT32_MIN;
    for (uint32_t l = 0; l < 32; l++) {
        x[l] = (l + 3) * 2654435761u;
        expected[0] += x[l];
        least = (int32_t)x[l] < least ? (int32_t)x[l] : least;
        most = (int32_t)x[l] > most ? (int32_t)x[l] : most;
        expected[3] = x[l] < expected[3] ? x[l] : expected[3];
        expected[4] = x[l] > expected[4] ? x[l] : expected[4];
        expected[5] &= x[l];
        expected[6] |= x[l];
        expected[7] ^= x[l];
    }
    expected[1] = (uint32_t)least;
    expected[2] = (uint32_t)most;
    for (int i = 0; i < 8; i++) {
        char body[128];
        snprintf(body, sizeof body, "  %%r = call i32 @llvm.nvvm.redux.sync.%s(i32 %%i, i32 -1)",
                 names[i]);
        run_body(body, "i32", 1, x, out);
        for (int l = 0; l < 32; l++)
            assert_int_equal(out[l], expected[i]);
    }
}

static void test_registers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t base, step;
    } cases[] = {{"laneid", 0, 1}, {"tid.y", 0, 0},   {"ntid.x", 32, 0},  {"nctaid.z", 1, 0},
                 {"warpid", 0, 0}, {"ctaid.x", 0, 0}, {"warpsize", 32, 0}};
    uint32_t out[32];
    char body[128];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(body, sizeof body, "  %%r = call i32 @llvm.nvvm.read.ptx.sreg.%s()",
                 cases[i].name);
        run_body(body, "i32", 1, lanes, out);
        for (uint32_t l = 0; l < 32; l++)
            assert_int_equal(out[l], cases[i].base + cases[i].step * l);
    }
    run_body("  %r = call i32 @llvm.nvvm.read.ptx.sreg.lanemask.lt()", "i32", 1, lanes, out);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[31], 0x7fffffff);
    run_body("  %r = call i32 @llvm.nvvm.read.ptx.sreg.lanemask.ge()", "i32", 1, lanes, out);
    assert_int_equal(out[0], UINT32_MAX);
    assert_int_equal(out[31], 0x80000000);
}

/* Compared with the host's functions of double; `tiny` is what a denormal operand becomes. */
static void test_approximations(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        double (*function)(double);
    } cases[] = {
        {"call float @llvm.nvvm.ex2.approx.ftz.f(float %f)", exp2},
        {"call float @llvm.nvvm.lg2.approx.ftz.f(float %f)", log2},
        {"call float @llvm.nvvm.sqrt.approx.ftz.f(float %f)", sqrt},
        {"call float @llvm.nvvm.sin.approx.f(float %f)", sin},
        {"call float @llvm.nvvm.cos.approx.f(float %f)", cos},
        {"call float asm \"tanh.approx.f32 $0, $1;\", \"=f,f\"(float %f)", tanh},
    };
    uint32_t x[32], out[32];
    char body[256];
    for (int l = 0; l < 32; l++)
        x[l] = as_bits((float)(l + 1) / 4);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(body, sizeof body, "  %%r = %s", cases[i].call);
        run_body(body, "float", 1, x, out);
        for (int l = 0; l < 32; l++)
            assert_true(as_float(out[l]) == (float)cases[i].function(as_float(x[l])));
    }
    run_body("  %q = call float @llvm.nvvm.rsqrt.approx.ftz.f(float %f)\n"
             "  %r = call float @llvm.nvvm.rcp.approx.ftz.f(float %q)",
             "float", 1, x, out);
    for (int l = 0; l < 32; l++)
        assert_true(fabs(as_float(out[l]) / sqrt(as_float(x[l])) - 1) < 2e-7);
    run_body("  %r = call float @llvm.nvvm.div.approx.ftz.f(float 3.0, float %f)", "float", 1, x,
             out);
    assert_true(as_float(out[11]) == 1);
}

static void test_denormals(void **state)
{
    (void)state;
    uint32_t x[32] = {1, 0x80000001, 0x007fffff, 0x00800000}, out[32];
    run_body("  %r = call float @llvm.nvvm.sqrt.approx.ftz.f(float %f)", "float", 1, x, out);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], 0x80000000);
    assert_true(as_float(out[3]) == 0x1p-63f);
    run_body("  %r = call float @llvm.nvvm.sqrt.approx.f(float %f)", "float", 1, x, out);
    assert_true(as_float(out[0]) > 0);
    run_body("  %r = call float @llvm.nvvm.fmax.ftz.f(float %f, float 0.0)", "float", 1, x, out);
    assert_int_equal(out[2], 0);
    assert_int_equal(out[3], 0x00800000);
}

static void test_minimum_and_nan(void **state)
{
    (void)state;
    uint32_t x[32] = {as_bits(NAN), as_bits(-1), as_bits(2)}, out[32];
    run_body("  %r = call float @llvm.nvvm.fmax.f(float %f, float 1.0)", "float", 1, x, out);
    assert_true(as_float(out[0]) == 1 && as_float(out[1]) == 1 && as_float(out[2]) == 2);
    run_body("  %r = call float @llvm.nvvm.fmin.nan.f(float %f, float 1.0)", "float", 1, x, out);
    assert_true(isnan(as_float(out[0])) && as_float(out[1]) == -1 && as_float(out[2]) == 1);
    run_body("  %r = call float @llvm.nvvm.fma.rn.f(float %f, float 3.0, float 1.0)", "float", 1, x,
             out);
    assert_true(as_float(out[1]) == -2 && as_float(out[2]) == 7);
}

static void test_conversions(void **state)
{
    (void)state;
    /* halves of the last place that stays, odd and even before it */
    uint32_t x[32] = {0x3f801000, 0x3f803000, 0x3f800fff, 0xbf801000, 0x7f800000}, out[32];
    run_body("  %r = call i32 @llvm.nvvm.f2tf32.rna(float %f)", "i32", 1, x, out);
    assert_int_equal(out[0], 0x3f802000);
    assert_int_equal(out[1], 0x3f804000);
    assert_int_equal(out[2], 0x3f800000);
    assert_int_equal(out[3], 0xbf802000);
    assert_int_equal(out[4], 0x7f800000);
    run_body("  %r = call i32 asm \"cvt.rn.tf32.f32 $0, $1;\", \"=r,f\"(float %f)", "i32", 1, x,
             out);
    assert_int_equal(out[0], 0x3f800000);
    assert_int_equal(out[1], 0x3f804000);
    uint32_t y[32] = {0x3f808000, 0x3f818000, 0x3f807fff, 0x7f7fffff};
    run_body("  %p = call <2 x bfloat> @llvm.nvvm.ff2bf16x2.rn(float 2.0, float %f)\n"
             "  %r = bitcast <2 x bfloat> %p to i32",
             "i32", 1, y, out);
    assert_int_equal(out[0], 0x40003f80);
    assert_int_equal(out[1], 0x40003f82);
    assert_int_equal(out[2], 0x40003f80);
    assert_int_equal(out[3], 0x40007f80);
    /* the instructions of LLVM, which x86 does in functions of the emulator */
    run_body("  %b = fptrunc float %f to bfloat\n  %w = fpext bfloat %b to float\n"
             "  %h = fptrunc float %w to half\n  %v = fpext half %h to float\n"
             "  %r = bitcast float %v to i32",
             "i32", 1, y, out);
    assert_int_equal(out[1], 0x3f820000);
    assert_int_equal(out[3], 0x7f800000);
}

/* Shared memory holds s[i] = i; each lane gives the address of row lane of 8 elements. */
static void load_matrices(const char *form, int n, bool transposed)
{
    char body[2048], type[32];
    uint32_t out[128];
    snprintf(type, sizeof type, "%s",
             n == 4   ? "{ i32, i32, i32, i32 }"
             : n == 2 ? "{ i32, i32 }"
                      : "i32");
    int at = 0;
    for (int k = 0; k < 8; k++)
        at += snprintf(body + at, sizeof body - (size_t)at,
                       "  %%i%d = add i32 %d, %%t\n  %%h%d = trunc i32 %%i%d to i16\n"
                       "  %%q%d = getelementptr i16, ptr addrspace(3) @s, i32 %%i%d\n"
                       "  store i16 %%h%d, ptr addrspace(3) %%q%d, align 2\n",
                       k, 32 * k, k, k, k, k, k, k);
    snprintf(body + at, sizeof body - (size_t)at,
             "  call void @llvm.nvvm.barrier0()\n  %%row = mul i32 %%t, 8\n"
             "  %%a = getelementptr i16, ptr addrspace(3) @s, i32 %%row\n"
             "  %%r = call %s @llvm.nvvm.ldmatrix.sync.aligned.m8n8.%s.b16.p3(ptr addrspace(3) "
             "%%a)",
             type, form);
    run_body(body, type, n, lanes, out);
    for (uint32_t l = 0; l < 32; l++)
        for (uint32_t m = 0; m < (uint32_t)n; m++)
            for (uint32_t z = 0; z < 2; z++) {
                uint32_t r = l / 4, c = 2 * (l % 4) + z;
                uint32_t element = 64 * m + (transposed ? 8 * c + r : 8 * r + c);
                assert_int_equal(out[l * (uint32_t)n + m] >> 16 * z & 0xffff, element);
            }
}

static void test_ldmatrix(void **state)
{
    (void)state;
    load_matrices("x1", 1, false);
    load_matrices("x2", 2, false);
    load_matrices("x4", 4, false);
    load_matrices("x1.trans", 1, true);
    load_matrices("x2.trans", 2, true);
    load_matrices("x4.trans", 4, true);
}

/* What stmatrix writes, ldmatrix reads back. */
static void test_stmatrix(void **state)
{
    (void)state;
    static const char *const forms[] = {"", ".trans"};
    char body[1024];
    uint32_t out[64];
    for (int f = 0; f < 2; f++) {
        snprintf(body, sizeof body,
                 "  %%row = mul i32 %%t, 8\n"
                 "  %%a = getelementptr i16, ptr addrspace(3) @s, i32 %%row\n"
                 "  %%n = ptrtoint ptr addrspace(3) %%a to i32\n"
                 "  call void asm sideeffect \"stmatrix.sync.aligned.m8n8.x2%s.shared.b16 [$0], "
                 "{$1, $2};\", \"r,r,r,~{memory}\"(i32 %%n, i32 %%i, i32 %%t)\n"
                 "  call void @llvm.nvvm.bar.warp.sync(i32 -1)\n"
                 "  %%r = call { i32, i32 } "
                 "@llvm.nvvm.ldmatrix.sync.aligned.m8n8.x2%s.b16.p3(ptr addrspace(3) %%a)",
                 forms[f], forms[f]);
        run_body(body, "{ i32, i32 }", 2, lanes, out);
        for (uint32_t l = 0; l < 32; l++) {
            assert_int_equal(out[2 * l], lanes[l]);
            assert_int_equal(out[2 * l + 1], l);
        }
    }
}

int main(void)
{
#define OP_TEST(f) cmocka_unit_test_setup(f, fill_lanes)
    const struct CMUnitTest tests[] = {
        OP_TEST(test_shuffles),   OP_TEST(test_shuffle_of_floats), OP_TEST(test_votes),
        OP_TEST(test_reductions), OP_TEST(test_registers),         OP_TEST(test_approximations),
        OP_TEST(test_denormals),  OP_TEST(test_minimum_and_nan),   OP_TEST(test_conversions),
        OP_TEST(test_ldmatrix),   OP_TEST(test_stmatrix),
    };
    return cmocka_run_group_tests_name("simt_ops", tests, NULL, NULL);
}
