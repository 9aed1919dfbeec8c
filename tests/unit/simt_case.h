/* What tests of the emulator share: kernels of tests/simt/kernels, edited where a fault is planted,
 * and buffers that are announced. Ids of expectations are kinds of faults. */
#ifndef SIMT_CASE_H
#define SIMT_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../simt/simt.h"

enum { CHECKED = SIMT_CHECK | SIMT_CONFLICTS };

static char case_error[1024];

/* The text of a file of kernels; the caller frees it. */
static inline char *kernel_text(const char *name)
{
    char path[512];
    const char *src = getenv("SRC");
    snprintf(path, sizeof path, "%s/tests/simt/kernels/%s.ll", src ? src : ".", name);
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s cannot be read", path);
    char *text = calloc(1, 1 << 16);
    assert_non_null(text);
    size_t n = fread(text, 1, (1 << 16) - 1, f);
    assert_true(n > 0 && feof(f));
    fclose(f);
    return text;
}

/* The first `from` becomes `to`; it must be there. */
static inline void edit_text(char *text, const char *from, const char *to)
{
    char *at = strstr(text, from);
    if (!at)
        fail_msg("no '%s' to plant a fault at", from);
    size_t tail = strlen(at + strlen(from)) + 1;
    assert_true(strlen(text) + strlen(to) < 1 << 16);
    memmove(at + strlen(to), at + strlen(from), tail);
    memcpy(at, to, strlen(to));
}

static inline SimtModule *load_kernels(const char *name, const char *from, const char *to)
{
    char *text = kernel_text(name);
    if (from)
        edit_text(text, from, to);
    SimtModule *m = simt_load_text(text, strlen(text), CHECKED, case_error, sizeof case_error);
    free(text);
    if (!m)
        fail_msg("%s: %s", name, case_error);
    return m;
}

static inline void launch(SimtModule *m, const char *kernel, unsigned blocks, unsigned threads,
                          size_t shared, void **args)
{
    SimtLaunch how = {{blocks, 1, 1}, {threads, 1, 1}, shared};
    if (!simt_launch(m, kernel, &how, args, case_error, sizeof case_error))
        fail_msg("%s", case_error);
}

/* Announced memory of n elements of 4 bytes, filled with NaN; freed with release. */
static inline void *buffer(size_t n)
{
    void *p = aligned_alloc(64, (4 * n + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0xff, 4 * n);
    assert_true(simt_buffer(p, 4 * n));
    return p;
}

static inline void release(void *p)
{
    simt_buffer_gone(p);
    free(p);
}

static inline void expect_clean(void)
{
    const SimtReport *r = simt_report();
    for (int i = 0; i < r->messages; i++)
        print_message("%s\n", r->message[i]);
    assert_int_equal(r->total, 0);
}

/* Faults of this kind were found, `count` of them (0: any number), and a message names the kernel.
 */
static inline void expect_fault(SimtFault kind, uint64_t count, const char *kernel)
{
    const SimtReport *r = simt_report();
    char begin[128];
    bool said = false;
    snprintf(begin, sizeof begin, "%s: kernel %s, block (", simt_fault_name(kind), kernel);
    for (int i = 0; i < r->messages; i++)
        said |= !strncmp(r->message[i], begin, strlen(begin));
    if (!said)
        for (int i = 0; i < r->messages; i++)
            print_message("%s\n", r->message[i]);
    assert_true(said);
    assert_true(count ? r->faults[kind] == count : r->faults[kind] > 0);
}

static inline int fresh_report(void **state)
{
    (void)state;
    simt_report_clear();
    return 0;
}

#define SIMT_TEST(f) cmocka_unit_test_setup(f, fresh_report)

/* Values in [-1, 1) that differ. */
static inline float value_at(uint32_t i)
{
    uint32_t h = (i + 1) * 2654435761u;
    h ^= h >> 15;
    h *= 2246822519u;
    return (float)(h >> 8) / 8388608.0f - 1;
}

#endif
