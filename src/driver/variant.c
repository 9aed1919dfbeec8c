/* One network for several processors: what they are, and their order. */
#include "driver/artifact.h"
#include <string.h>

const Variant *variant_least(const Artifact *x)
{
    return &x->variants[x->count - 1];
}

int variant_parse(Run *r, Artifact *x, const char *list)
{
    x->count = 0;
    if (list == NULL) {
        x->variants[x->count++].asked = NULL;
        return EXIT_FINE;
    }
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',' && at != list;
        size_t n = strcspn(at, ",");
        if (n == 0)
            return front_fail(r, EXIT_USAGE, "--target-cpu has an empty name in '%s'", list);
        if (x->count == CODEGEN_VARIANTS)
            return front_fail(r, EXIT_USAGE, "--target-cpu takes at most %d processors",
                              CODEGEN_VARIANTS);
        x->variants[x->count++].asked = arena_strndup(&r->net_arena, at, n);
    }
    return EXIT_FINE;
}

static const char *shown(const Variant *v)
{
    return v->asked != NULL ? v->asked : "native";
}

/* Only the levels of x86-64 can be told apart when a program starts; by name they sort by merit. */
static int order(Run *r, Artifact *x)
{
    for (int i = 0; i < x->count && x->count > 1; i++)
        if (strncmp(x->variants[i].native.plan.target.triple, "x86_64", 6) != 0)
            return front_fail(r, EXIT_USAGE,
                              "'%s' cannot be one of several processors: only levels of x86-64 can",
                              shown(&x->variants[i]));
    for (int i = 1; i < x->count; i++)
        for (int k = i; k > 0; k--) {
            Variant *a = &x->variants[k - 1], *b = &x->variants[k], c;
            int cmp = strcmp(a->native.plan.target.cpu, b->native.plan.target.cpu);
            if (cmp == 0)
                return front_fail(r, EXIT_USAGE, "'%s' and '%s' are the same code, for %s",
                                  shown(a), shown(b), a->native.plan.target.cpu);
            if (cmp > 0)
                break;
            c = *a;
            *a = *b;
            *b = c;
        }
    return EXIT_FINE;
}

int variant_plan(Run *r, Artifact *x)
{
    const char *net = x->net->elab->graph.name;
    bool stopped = false;
    for (int i = 0; i < x->count; i++) {
        Variant *v = &x->variants[i];
        const char *label =
            x->count == 1 ? net : arena_printf(&r->net_arena, "%s.%s", net, shown(v));
        int code = native_plan_for(&v->native, r, x->net, v->asked, label);
        if (code != EXIT_FINE && code != EXIT_STOPPED)
            return code;
        stopped = stopped || code == EXIT_STOPPED;
    }
    if (stopped)
        return EXIT_STOPPED;
    int code = order(r, x);
    for (int i = 0; i < x->count && code == EXIT_FINE; i++) {
        Variant *v = &x->variants[i];
        v->emit.variant = x->count > 1;
        v->emit.prefix = x->prefix;
        if (x->count > 1)
            v->emit.prefix =
                artifact_identifier(&r->net_arena, arena_printf(&r->net_arena, "%s_%s", x->prefix,
                                                                v->native.plan.target.cpu));
    }
    return code;
}

void variant_close(Artifact *x)
{
    for (int i = 0; i < x->count; i++)
        native_close(&x->variants[i].native);
}
