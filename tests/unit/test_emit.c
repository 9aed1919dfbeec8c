/* What the code generator hands out: objects, assembly and IR; that they do not change from run to
 * run, that they link to a working library, and that failures come back as messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernel_suite.h"
#include "plan_nets.h"
#include <elf.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const CodegenApi *api;

typedef struct Built {
    OomHandler oom;
    Arena arena;
    Graph g;
    Analysis an;
    Fusion fusion;
    Plan plan;
} Built;

static Built built;

static const float *some_parameter(void *ctx, const char *name, const ParamSpec *spec)
{
    int64_t n = param_count(spec);
    float *data = arena_new_n((Arena *)ctx, float, (size_t)n);
    fill_random(data, (size_t)n, name, 0.01f, 0.2f);
    return data;
}

/* The plan of a net with a gate, sums and a head that needs a copy. */
static int build(void **state)
{
    (void)state;
    Target t;
    char err[1024];
    NodeId at;
    ShapeError why;
    const char *text = plan_nets[1].text;
    if (!api || setjmp(built.oom.env))
        return -1;
    arena_init(&built.arena, &built.oom, 0);
    if (!api->target("native", &t, err, sizeof err) ||
        graph_read(&built.g, &built.arena, text, strlen(text)) ||
        !analysis_run(&built.arena, &built.g, &built.an, &at, &why))
        return -1;
    fuse_run(&built.fusion, &built.arena, &built.an);
    return plan_build(&built.plan, &built.arena, &built.an, &built.fusion, &t) ? -1 : 0;
}

static int release(void **state)
{
    (void)state;
    arena_free(&built.arena);
    return 0;
}

static EmitOptions options(int jobs)
{
    return (EmitOptions){.prefix = "tiny", .net_name = "tiny", .max_batch = 2, .jobs = jobs};
}

static EmitResult emit(EmitKind kind, const EmitOptions *o)
{
    EmitResult r;
    char err[1024] = "";
    if (!api->emit(&built.plan, kind, o, &r, err, sizeof err))
        fail_msg("%s", err);
    return r;
}

static void assert_same(const EmitResult *a, const EmitResult *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        assert_int_equal(a->pieces[i].len, b->pieces[i].len);
        assert_memory_equal(a->pieces[i].data, b->pieces[i].data, a->pieces[i].len);
    }
}

static void test_bytes_do_not_depend_on_threads(void **state)
{
    (void)state;
    for (int kind = EMIT_OBJECT; kind <= EMIT_ASM; kind++) {
        EmitOptions one = options(1), many = options(5);
        EmitResult a = emit((EmitKind)kind, &one), b = emit((EmitKind)kind, &many);
        assert_same(&a, &b);
        api->emit_free(&a);
        api->emit_free(&b);
    }
}

static void test_text_names_every_function(void **state)
{
    (void)state;
    static const char *const ir[] = {"define i32 @tiny_create(", "define ptr @tiny_model(",
                                     "declare i32 @cnnrt_run(", "@tiny_k0("};
    static const char *const assembly[] = {"tiny_create:", "tiny_model:", "tiny_k0:"};
    EmitOptions o = options(1);
    EmitResult r = emit(EMIT_LLVM_IR, &o);
    assert_int_equal(r.count, 1);
    for (size_t i = 0; i < sizeof ir / sizeof *ir; i++)
        if (!strstr(r.pieces[0].data, ir[i]))
            fail_msg("the IR has no '%s'", ir[i]);
    api->emit_free(&r);
    o.embed = true; /* text refers to no other object all the same */
    o.weights_file = "tiny.packed";
    r = emit(EMIT_LLVM_IR, &o);
    assert_null(strstr(r.pieces[0].data, "@tiny_weights ="));
    assert_non_null(strstr(r.pieces[0].data, "tiny.packed"));
    api->emit_free(&r);
    o.embed = false;
    o.weights_file = NULL;
    r = emit(EMIT_ASM, &o);
    for (size_t i = 0; i < sizeof assembly / sizeof *assembly; i++)
        if (!strstr(r.pieces[0].data, assembly[i]))
            fail_msg("the assembly has no '%s'", assembly[i]);
    api->emit_free(&r);
}

static void count_progress(void *ctx, int done, int total)
{
    int *seen = ctx;
    seen[0]++;
    seen[1] = done;
    seen[2] = total;
}

static void test_progress_counts_pieces(void **state)
{
    (void)state;
    int seen[3] = {0};
    EmitOptions o = options(2);
    o.progress = count_progress;
    o.progress_ctx = seen;
    EmitResult r = emit(EMIT_OBJECT, &o);
    assert_int_equal(seen[0], r.count);
    assert_int_equal(seen[1], r.count);
    assert_int_equal(seen[2], r.count);
    api->emit_free(&r);
}

static void expect_failure(const Plan *p, const EmitOptions *o, const char *word)
{
    EmitResult r;
    char err[1024] = "";
    assert_false(api->emit(p, EMIT_OBJECT, o, &r, err, sizeof err));
    if (!strstr(err, word))
        fail_msg("the message '%s' does not speak of '%s'", err, word);
    assert_int_equal(r.count, 0);
    api->emit_free(&r);
}

static void test_failures_are_messages(void **state)
{
    (void)state;
    static char prefix[400];
    EmitOptions o = options(2);
    char err[256] = "";
    EmitPiece head, tail;
    memset(prefix, 'p', sizeof prefix - 1);
    o.prefix = prefix;
    expect_failure(&built.plan, &o, "prefix");
    assert_false(api->weights(&built.plan.target, prefix, 64, &head, &tail, err, sizeof err));
    assert_non_null(strstr(err, "prefix"));
    assert_null(head.data);
    o = options(2);
    Plan broken = built.plan;
    broken.kernels.at = arena_new_n(&built.arena, PlanKernel, broken.kernels.len);
    memcpy(broken.kernels.at, built.plan.kernels.at, broken.kernels.len * sizeof(PlanKernel));
    broken.kernels.at[1].k.tile.px = 99;
    expect_failure(&broken, &o, "tile");
    snprintf(broken.target.triple, sizeof broken.target.triple, "vax-dec-ultrix");
    expect_failure(&broken, &o, "vax");
}

static void test_unknown_processor(void **state)
{
    (void)state;
    Target t;
    char err[1024] = "", little[8] = "";
    assert_false(api->target("i8086", &t, err, sizeof err));
    assert_non_null(strstr(err, "i8086"));
    assert_false(api->target("i8086", &t, little, sizeof little));
}

/* The machine an ELF object is for. */
static int machine_of(const EmitPiece *p)
{
    Elf64_Ehdr h;
    assert_true(p->len >= sizeof h);
    memcpy(&h, p->data, sizeof h);
    assert_memory_equal(h.e_ident, ELFMAG, SELFMAG);
    return h.e_machine;
}

/* Another machine's objects need nothing of that machine. */
static void test_every_machine(void **state)
{
    (void)state;
    static const struct {
        const char *name, *triple;
        int vl, regs, machine;
    } wanted[] = {{"aarch64", "aarch64-", 4, 32, EM_AARCH64},
                  {"cortex-a72", "aarch64-", 4, 32, EM_AARCH64},
                  {"x86-64-v2", "x86_64-", 4, 16, EM_X86_64},
                  {"x86-64-v3", "x86_64-", 8, 16, EM_X86_64},
                  {"x86-64-v4", "x86_64-", 16, 32, EM_X86_64}};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        Target t;
        Plan plan;
        EmitResult r;
        EmitPiece head, tail;
        char err[1024] = "";
        EmitOptions o = options(2);
        assert_true(api->target(wanted[i].name, &t, err, sizeof err));
        assert_memory_equal(t.triple, wanted[i].triple, strlen(wanted[i].triple));
        assert_int_equal(t.vl, wanted[i].vl);
        assert_int_equal(t.regs, wanted[i].regs);
        assert_null(plan_build(&plan, &built.arena, &built.an, &built.fusion, &t));
        if (!api->emit(&plan, EMIT_OBJECT, &o, &r, err, sizeof err))
            fail_msg("%s: %s", wanted[i].name, err);
        for (int k = 0; k < r.count; k++)
            assert_int_equal(machine_of(&r.pieces[k]), wanted[i].machine);
        api->emit_free(&r);
        assert_true(api->weights(&t, "tiny", 64, &head, &tail, err, sizeof err));
        assert_int_equal(machine_of(&head), wanted[i].machine);
        free(head.data);
        free(tail.data);
    }
}

/* Of a variant the model is a constant; the functions are in the object that chooses. */
static void test_variants(void **state)
{
    (void)state;
    const char *const prefixes[] = {"tiny_a", "tiny_b"};
    char err[1024] = "";
    EmitPiece piece;
    EmitOptions o = options(2);
    o.variant = true;
    EmitResult r = emit(EMIT_OBJECT, &o);
    const EmitPiece *model = &r.pieces[r.count - 1];
    assert_non_null(memmem(model->data, model->len, "tiny_model", 10));
    assert_null(memmem(model->data, model->len, "tiny_create", 11));
    api->emit_free(&r);
    const Target *t = &built.plan.target;
    if (!api->dispatch(t, "tiny", prefixes, 2, &piece, err, sizeof err))
        fail_msg("%s", err);
    static const char *const names[] = {"tiny_model",   "tiny_create",  "tiny_a_model",
                                        "tiny_b_model", "cnnrt_choose", "tiny_weights_file"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!memmem(piece.data, piece.len, names[i], strlen(names[i]) + 1))
            fail_msg("no %s", names[i]);
    free(piece.data);
    assert_false(api->dispatch(t, "tiny", prefixes, 0, &piece, err, sizeof err));
    assert_false(api->dispatch(t, "tiny", prefixes, CODEGEN_VARIANTS + 1, &piece, err, sizeof err));
    assert_null(piece.data);
}

static void write_file(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static bool run_linker(char *const *argv)
{
    extern char **environ;
    pid_t pid;
    int status = 0;
    if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0 ||
        waitpid(pid, &status, 0) != pid)
        return false;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

enum { MOST_FILES = 128 };

/* Objects and the runtime as a shared object in `folder`; false when there is no linker. */
static bool link_library(const EmitResult *r, const char *folder, char *out, size_t len)
{
    static char names[MOST_FILES][4200];
    char self[4000], runtime[4096];
    char *argv[MOST_FILES + 10];
    int n = 0;
    const char *env = getenv("CNNC_RUNTIME");
    ssize_t got = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(got > 0 && r->count <= MOST_FILES);
    self[got] = 0;
    *strrchr(self, '/') = 0;
    snprintf(runtime, sizeof runtime, "%s/../lib/libcnnrt.a", self);
    snprintf(out, len, "%s/tiny.so", folder);
    char *const start[] = {"cc", "-shared", "-o", out};
    for (size_t i = 0; i < sizeof start / sizeof *start; i++)
        argv[n++] = start[i];
    for (int i = 0; i < r->count; i++) {
        snprintf(names[i], sizeof names[i], "%s/%d.o", folder, i);
        write_file(names[i], r->pieces[i].data, r->pieces[i].len);
        argv[n++] = names[i];
    }
    argv[n++] = env ? (char *)env : runtime;
    argv[n++] = "-lm";
    argv[n++] = "-lpthread";
    argv[n] = NULL;
    return run_linker(argv);
}

static void remove_folder(const char *folder, int objects)
{
    char path[4300];
    for (int i = 0; i < objects; i++) {
        snprintf(path, sizeof path, "%s/%d.o", folder, i);
        unlink(path);
    }
    static const char *const others[] = {"tiny.so", "weights \"1\".bin"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, others[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void *find(void *lib, const char *name)
{
    void *p = dlsym(lib, name);
    if (!p)
        fail_msg("the library has no %s", name);
    return p;
}

/* Runs both the library, whose weights are inside, and the loaded code; same bits wanted. */
static void compare_with_loaded(void *lib, const float *blob)
{
    size_t (*size)(int, int) = (size_t(*)(int, int))find(lib, "tiny_workspace_size");
    int (*create)(CnnrtContext **, const float *, int, void *, size_t) =
        (int (*)(CnnrtContext **, const float *, int, void *, size_t))find(lib, "tiny_create");
    int (*run)(CnnrtContext *, int, const float *const *, float *const *) =
        (int (*)(CnnrtContext *, int, const float *const *, float *const *))find(lib, "tiny_run");
    void (*destroy)(CnnrtContext *) = (void (*)(CnnrtContext *))find(lib, "tiny_destroy");
    const char *(*message)(int) = (const char *(*)(int))find(lib, "tiny_strerror");
    assert_true(size(2, 1) > 0);
    assert_true(strlen(message(CNNRT_BAD_ARGUMENT)) > 0);
    char err[1024] = "";
    const void *model = NULL;
    EmitOptions o = options(1);
    Loaded *code = api->load(&built.plan, &o, &model, err, sizeof err);
    assert_non_null(code);
    const CnnrtModel *m = model;
    int64_t in = 2 * m->inputs[0].c * m->inputs[0].h * m->inputs[0].w;
    int64_t out = 2 * m->outputs[0].c * m->outputs[0].h * m->outputs[0].w;
    float *x = calloc((size_t)in, sizeof *x), *y[2];
    fill_random(x, (size_t)in, "x", -1, 1);
    for (int i = 0; i < 2; i++)
        y[i] = calloc((size_t)out, sizeof *y[i]);
    CnnrtContext *c = NULL, *d = NULL;
    assert_int_equal(create(&c, NULL, 1, NULL, 0), CNNRT_OK);
    assert_int_equal(cnnrt_create(&d, m, NULL, 1, NULL, 0), CNNRT_NO_WEIGHTS);
    assert_int_equal(cnnrt_create(&d, m, blob, 1, NULL, 0), CNNRT_OK);
    assert_int_equal(run(c, 2, (const float *const[]){x}, (float *const[]){y[0]}), CNNRT_OK);
    assert_int_equal(cnnrt_run(d, 2, (const float *const[]){x}, (float *const[]){y[1]}), CNNRT_OK);
    assert_memory_equal(y[0], y[1], (size_t)out * sizeof(float));
    destroy(c);
    cnnrt_destroy(d);
    api->unload(code);
    free(x);
    free(y[0]);
    free(y[1]);
}

/* The object that the linker finds the weights in, as one more piece. */
static void add_weights(EmitResult *r, const void *blob, size_t bytes)
{
    EmitPiece head, tail, whole;
    char err[256] = "";
    if (!api->weights(&built.plan.target, "tiny", bytes, &head, &tail, err, sizeof err))
        fail_msg("%s", err);
    assert_int_equal(head.len % 64, 0);
    whole.len = head.len + bytes + tail.len;
    whole.data = malloc(whole.len);
    r->pieces = realloc(r->pieces, (size_t)(r->count + 1) * sizeof *r->pieces);
    assert_non_null(whole.data);
    assert_non_null(r->pieces);
    memcpy(whole.data, head.data, head.len);
    memcpy(whole.data + head.len, blob, bytes);
    memcpy(whole.data + head.len + bytes, tail.data, tail.len);
    r->pieces[r->count++] = whole;
    free(head.data);
    free(tail.data);
}

static void test_objects_link_with_their_weights(void **state)
{
    (void)state;
    char folder[] = "/tmp/cnnc-emit-XXXXXX", library[300];
    void *blob = NULL;
    size_t bytes = (size_t)built.plan.weight_floats * sizeof(float);
    assert_int_equal(posix_memalign(&blob, 64, bytes), 0);
    assert_null(plan_pack(&built.plan, &(ParamSource){.get = some_parameter, .ctx = &built.arena},
                          1, blob));
    assert_non_null(mkdtemp(folder));
    EmitOptions o = options(2);
    o.embed = true;
    EmitResult r = emit(EMIT_OBJECT, &o);
    add_weights(&r, blob, bytes);
    bool linked = link_library(&r, folder, library, sizeof library);
    void *lib = linked ? dlopen(library, RTLD_NOW | RTLD_LOCAL) : NULL;
    int objects = r.count;
    api->emit_free(&r);
    remove_folder(folder, objects);
    if (!linked) {
        free(blob);
        skip();
    }
    if (!lib)
        fail_msg("%s", dlerror());
    compare_with_loaded(lib, blob);
    dlclose(lib);
    free(blob);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_do_not_depend_on_threads),
        cmocka_unit_test(test_text_names_every_function),
        cmocka_unit_test(test_progress_counts_pieces),
        cmocka_unit_test(test_failures_are_messages),
        cmocka_unit_test(test_unknown_processor),
        cmocka_unit_test(test_every_machine),
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_objects_link_with_their_weights),
    };
    api = suite_api();
    return cmocka_run_group_tests_name("emit", tests, build, release);
}
