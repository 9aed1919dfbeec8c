/* One network for several processors: what they are, and their order. */
#include "driver/artifact.h"
#include <string.h>

const Variant *variant_least(const Artifact *x)
{
    return &x->variants[x->count - 1];
}

static int check_targets(Run *r)
{
    const char *at = cli_get(r->cli, OPT_TARGET);
    for (; at != NULL && *at != '\0'; at += *at == ',') {
        int n = (int)strcspn(at, ",");
        if ((n != 3 || strncmp(at, "cpu", 3) != 0) && (n != 4 || strncmp(at, "cuda", 4) != 0))
            return front_fail(r, EXIT_USAGE, "--target takes cpu, cuda or both, not '%.*s'", n, at);
        at += n;
    }
    return EXIT_FINE;
}

static int add(Run *r, Artifact *x, const char *asked)
{
    if (x->count == CODEGEN_VARIANTS)
        return front_fail(r, EXIT_USAGE, "--target-cpu takes at most %d processors",
                          CODEGEN_VARIANTS);
    x->variants[x->count++].asked = asked;
    return EXIT_FINE;
}

/* What --target names and --target-cpu does not. */
static int add_usual(Run *r, Artifact *x)
{
    bool gpu = false, cpu = false;
    for (int i = 0; i < x->count; i++) {
        bool is_gpu = strncmp(x->variants[i].asked, "sm_", 3) == 0;
        gpu = gpu || is_gpu;
        cpu = cpu || !is_gpu;
    }
    int code = EXIT_FINE;
    if (native_wants_cuda(r) && !gpu)
        code = add(r, x, native_usual_gpu(r));
    if (code == EXIT_FINE && native_wants_cpu(r) && !cpu && (native_wants_cuda(r) || !gpu))
        code = add(r, x, native_wants_cuda(r) ? "native" : NULL);
    return code;
}

int variant_parse(Run *r, Artifact *x, const char *list)
{
    x->count = 0;
    int code = check_targets(r);
    for (const char *at = list; at != NULL && code == EXIT_FINE; at = strchr(at, ',')) {
        at += *at == ',' && at != list;
        size_t n = strcspn(at, ",");
        if (n == 0)
            return front_fail(r, EXIT_USAGE, "--target-cpu has an empty name in '%s'", list);
        code = add(r, x, arena_strndup(&r->net_arena, at, n));
    }
    return code == EXIT_FINE ? add_usual(r, x) : code;
}

static const char *shown(const Variant *v)
{
    return v->asked != NULL ? v->asked : "native";
}

/* Whether b is the better one: devices before processors, then by name. */
static int better(const Variant *a, const Variant *b)
{
    const Target *s = &a->native.plan.target, *t = &b->native.plan.target;
    if (s->kind != t->kind)
        return s->kind == TARGET_CPU ? -1 : 1;
    return strcmp(s->cpu, t->cpu);
}

/* Only the levels of x86-64, and GPUs, can be told apart when a program starts; by name they sort
 * by merit. */
static int order(Run *r, Artifact *x)
{
    int processors = 0;
    for (int i = 0; i < x->count; i++)
        processors += x->variants[i].native.plan.target.kind == TARGET_CPU;
    for (int i = 0; i < x->count && processors > 1; i++)
        if (x->variants[i].native.plan.target.kind == TARGET_CPU &&
            strncmp(x->variants[i].native.plan.target.triple, "x86_64", 6) != 0)
            return front_fail(r, EXIT_USAGE,
                              "'%s' cannot be one of several processors: only levels of x86-64 can",
                              shown(&x->variants[i]));
    for (int i = 1; i < x->count; i++)
        for (int k = i; k > 0; k--) {
            Variant *a = &x->variants[k - 1], *b = &x->variants[k], c;
            int cmp = better(a, b);
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
