/* The formatter. Promises: what parses is laid out; the result has the same tokens and tree
 * (format_ast keeps that one itself); laying it out again changes nothing. */
#include "fuzz.h"

#include "format/format.h"
#include <string.h>

enum { MEMORY = 256 << 20 };

static const Ast *parse(Arena *a, Intern *names, SourceMap *sources, const char *text, size_t len)
{
    Diags diags;
    diags_init(&diags, a, sources);
    uint32_t src = source_add(sources, "fuzz", text, len);
    const Ast *t = parse_file(a, names, &diags, sources, src);
    return diags.errors == 0 ? t : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static OomHandler oom;
    static Arena a;
    static Buf one, two;
    memset(&a, 0, sizeof a);
    one = two = (Buf){0};
    if (setjmp(oom.env) == 0) {
        arena_init(&a, &oom, MEMORY);
        SourceMap sources = {.arena = &a};
        Intern *names = intern_new(&a);
        const Ast *t = parse(&a, names, &sources, (const char *)data, size);
        if (t != NULL) {
            FUZZ_CHECK(format_ast(t, &a, names, &one));
            t = parse(&a, names, &sources, one.at != NULL ? one.at : "", one.len);
            FUZZ_CHECK(t != NULL && format_ast(t, &a, names, &two));
            FUZZ_CHECK(one.len == two.len &&
                       (one.len == 0 || memcmp(one.at, two.at, one.len) == 0));
        }
    }
    buf_free(&one);
    buf_free(&two);
    arena_free(&a);
    return 0;
}
