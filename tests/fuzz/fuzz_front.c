/* Lexer, parser, checker, elaboration and analysis. Promises: no crash; every diagnostic lies
 * inside its file; what is refused is refused with an error; a graph that comes out is valid. */
#include "fuzz.h"

#include "analysis/analysis.h"
#include "elab/elab.h"
#include <string.h>

enum { MEMORY = 256 << 20, NETS = 4 };

static void check_spans(const Session *s)
{
    for (uint32_t i = 0; i < s->diags.all.len; i++) {
        Span at = s->diags.all.at[i].span;
        if (at.src == 0)
            continue;
        const Source *src = source_get(&s->sources, at.src);
        FUZZ_CHECK(src != NULL && at.lo <= at.hi && at.hi <= src->len);
    }
}

static void elaborate(Session *s, Arena *a, NetRef net)
{
    Analysis an;
    NodeId at;
    ShapeError err;
    ElabOptions opt = {0};
    uint32_t errors = s->diags.errors;
    Elab *e = elab_net(s, a, net, &opt);
    FUZZ_CHECK(e != NULL || s->diags.errors > errors || errors > 0);
    if (e != NULL) {
        FUZZ_CHECK(graph_verify(&e->graph) == NULL);
        FUZZ_CHECK(analysis_run(a, &e->graph, &an, &at, &err));
    }
    arena_reset(a);
}

static void render(Session *s)
{
    for (int f = DIAG_HUMAN; f <= DIAG_SARIF; f++) {
        Buf out = {0};
        diag_render(&s->diags, &out, (DiagFormat)f, f == DIAG_HUMAN);
        buf_free(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Session s;
    static Arena net_arena;
    const char *path = fuzz_file(data, size);
    memset(&s, 0, sizeof s);
    memset(&net_arena, 0, sizeof net_arena);
    if (setjmp(s.oom.env) == 0) {
        NetRef *nets;
        session_init(&s, NULL);
        arena_init(&net_arena, &s.oom, MEMORY);
        uint32_t count = elab_nets(&s, path, &nets);
        for (uint32_t i = 0; i < count && i < NETS; i++)
            if (nets[i].concrete)
                elaborate(&s, &net_arena, nets[i]);
        check_spans(&s);
        render(&s);
    }
    arena_free(&net_arena);
    session_free(&s);
    return 0;
}
