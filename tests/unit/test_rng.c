/* The generator gives the check values of docs/random.md, which other implementations rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "rng.h"

static void expect_stream(const char *name, uint64_t key, const uint32_t bits[3])
{
    assert_int_equal(rng_key(name, 1), key);
    for (uint64_t i = 0; i < 3; i++)
        assert_true(rng_uniform(key, i) == (float)bits[i] * 0x1p-24f);
}

static void test_check_values(void **state)
{
    (void)state;
    assert_int_equal(rng_mix(0, 0), 0xE220A8397B1DCDAFu);
    expect_stream("input", 0x71C371A3B19DF2F6u, (uint32_t[]){3604726, 8334011, 10216222});
    expect_stream("layer3.1.conv1.weight", 0x3DC81E51BE5D3785u,
                  (uint32_t[]){12859798, 9828084, 2115714});
    expect_stream("", 0x2E306C9F13D97A5Bu, (uint32_t[]){544186, 12549954, 7713707});
}

static void test_seeds_differ(void **state)
{
    (void)state;
    assert_true(rng_key("input", 1) != rng_key("input", 2));
    assert_true(rng_key("a", 1) != rng_key("b", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_values),
        cmocka_unit_test(test_seeds_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
