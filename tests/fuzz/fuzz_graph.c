/* The reader of graph files. Promise: what it accepts is valid or named as invalid, and a valid
 * graph prints to a text that reads as the same graph. */
#include "fuzz.h"

#include "analysis/analysis.h"
#include <string.h>

enum { MEMORY = 256 << 20 };

static void round_trip(Arena *a, const Graph *g)
{
    Graph again;
    Buf one = {0}, two = {0};
    graph_print(g, &one);
    FUZZ_CHECK(buf_ok(&one));
    FUZZ_CHECK(graph_read(&again, a, one.at, one.len) == NULL);
    FUZZ_CHECK(graph_verify(&again) == NULL);
    graph_print(&again, &two);
    FUZZ_CHECK(one.len == two.len && memcmp(one.at, two.at, one.len) == 0);
    buf_free(&one);
    buf_free(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static OomHandler oom;
    static Arena a;
    memset(&a, 0, sizeof a);
    if (setjmp(oom.env) == 0) {
        Graph g;
        Analysis an;
        NodeId at;
        ShapeError err;
        arena_init(&a, &oom, MEMORY);
        if (graph_read(&g, &a, (const char *)data, size) == NULL && graph_verify(&g) == NULL) {
            round_trip(&a, &g);
            (void)analysis_run(&a, &g, &an, &at, &err); /* shapes may not fit: an error, no crash */
        }
    }
    arena_free(&a);
    return 0;
}
