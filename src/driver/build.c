/* build: the files a user deploys. */
#include "driver/artifact.h"
#include "driver/commands.h"
#include "support/fs.h"
#include "support/temp.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { AS_EXE = 1, AS_SO = 2, AS_OBJ = 4, AS_HEADER = 8, AS_IR = 16, AS_ASM = 32, AS_WEIGHTS = 64 };
static const struct {
    const char *name, *suffix;
    unsigned bit;
} kinds[] = {{"exe", "", AS_EXE},
             {"so", ".so", AS_SO},
             {"obj", ".o", AS_OBJ},
             {"header", ".h", AS_HEADER},
             {"llvm-ir", ".ll", AS_IR},
             {"asm", ".s", AS_ASM},
             {"weights", ".safetensors", AS_WEIGHTS}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

typedef struct Build {
    Net net;
    Parameters params;
    Native native;
    EmitOptions emit;
    unsigned as;
    const char *base;  /* output path without suffix */
    const char *exact; /* -o, used as it is when one kind is asked for */
    char tmp[64];
    const char *objects[256];
    int object_count;
} Build;

static int parse_emit(Run *r, const char *list, unsigned *out)
{
    *out = 0;
    if (list == NULL) {
        *out = AS_EXE;
        return EXIT_FINE;
    }
    while (*list != '\0') {
        size_t n = strcspn(list, ",");
        int k = 0;
        while (k < KINDS && (strlen(kinds[k].name) != n || memcmp(kinds[k].name, list, n) != 0))
            k++;
        if (k == KINDS)
            return front_fail(r, EXIT_USAGE,
                              "--emit takes exe, so, obj, header, llvm-ir, asm and weights, not "
                              "'%.*s'",
                              (int)n, list);
        *out |= kinds[k].bit;
        list += n + (list[n] == ',');
    }
    return *out != 0 ? EXIT_FINE : front_fail(r, EXIT_USAGE, "--emit is empty");
}

static const char *path_for(Run *r, const Build *b, unsigned bit)
{
    int k = 0;
    while (kinds[k].bit != bit)
        k++;
    if (b->exact != NULL && b->as == bit)
        return b->exact;
    return arena_printf(&r->net_arena, "%s%s", b->base, kinds[k].suffix);
}

static int write_text(Run *r, Build *b, EmitKind kind, unsigned bit)
{
    char err[512] = "";
    const char *why = NULL, *path = path_for(r, b, bit);
    EmitResult out = {0};
    if (!b->native.api->emit(&b->native.plan, kind, &b->emit, &out, err, sizeof err))
        return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
    int code = EXIT_FINE;
    Buf text = {0};
    for (int i = 0; i < out.count; i++)
        buf_addn(&text, out.pieces[i].data, out.pieces[i].len);
    b->native.api->emit_free(&out);
    if (!buf_ok(&text))
        code = front_fail(r, EXIT_LIMIT, "out of memory");
    else if (!fs_write_all(path, text.at != NULL ? text.at : "", text.len, false, &why))
        code = front_fail(r, front_blame(EXIT_FILE, why), "%s: %s", path, why);
    buf_free(&text);
    return code;
}

/* Packed weights and object pieces go to files in a private folder, for the linker to read. */
static int make_objects(Run *r, Build *b)
{
    const char *why = NULL, *dir = getenv("TMPDIR");
    char err[512] = "";
    EmitResult out = {0};
    if (dir == NULL || strlen(dir) > sizeof b->tmp - 16)
        dir = "/tmp";
    snprintf(b->tmp, sizeof b->tmp, "%s/cnnc-XXXXXX", dir);
    if (!temp_folder(b->tmp)) {
        b->tmp[0] = '\0';
        return front_fail(r, EXIT_FILE, "no temporary folder in %s: %s", dir, strerror(errno));
    }
    const char *weights = arena_printf(&r->net_arena, "%s/weights", b->tmp);
    temp_add(weights);
    if (!fs_write_all(weights, b->native.blob, (size_t)b->native.plan.weight_floats * sizeof(float),
                      false, &why))
        return front_fail(r, front_blame(EXIT_FILE, why), "%s: %s", weights, why);
    b->emit.weights_file = weights;
    double t = front_seconds();
    bool ok = b->native.api->emit(&b->native.plan, EMIT_OBJECT, &b->emit, &out, err, sizeof err);
    unlink(weights);
    temp_drop(weights);
    if (!ok)
        return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
    stage_time(r, "generate code", t);
    int code = EXIT_FINE;
    for (int i = 0; i < out.count && code == EXIT_FINE; i++) {
        const char *path = arena_printf(&r->net_arena, "%s/piece%d.o", b->tmp, i);
        if (i == (int)(sizeof b->objects / sizeof b->objects[0]))
            code = front_fail(r, EXIT_INTERNAL, "too many object files");
        else {
            temp_add(path);
            b->objects[b->object_count++] = path;
            if (!fs_write_all(path, out.pieces[i].data, out.pieces[i].len, false, &why))
                code = front_fail(r, front_blame(EXIT_FILE, why), "%s: %s", path, why);
        }
    }
    b->native.api->emit_free(&out);
    return code;
}

static void remove_temporaries(Build *b)
{
    for (int i = 0; i < b->object_count; i++) {
        unlink(b->objects[i]);
        temp_drop(b->objects[i]);
    }
    if (b->tmp[0] != '\0') {
        rmdir(b->tmp);
        temp_drop(b->tmp);
    }
}

/* One relocatable object out of the pieces. */
static int join_objects(Run *r, Build *b)
{
    const char *argv[300] = {"ld", "-r", "-o"}, *err = NULL;
    const char *path = path_for(r, b, AS_OBJ);
    const char *tmp = arena_printf(&r->net_arena, "%s.tmp%ld", path, (long)getpid());
    int n = 3;
    argv[n++] = tmp;
    for (int i = 0; i < b->object_count; i++)
        argv[n++] = b->objects[i];
    if (fs_spawn(argv, &err) != 0) {
        unlink(tmp);
        return front_fail(r, EXIT_FILE, "joining objects with 'ld' failed%s%s", err ? ": " : "",
                          err ? err : "");
    }
    if (rename(tmp, path) != 0) {
        unlink(tmp);
        return front_fail(r, EXIT_FILE, "%s: %s", path, strerror(errno));
    }
    return EXIT_FINE;
}

static int emit_all(Run *r, Build *b)
{
    int code = EXIT_FINE;
    if (b->as & (AS_EXE | AS_SO | AS_OBJ))
        code = make_objects(r, b);
    double t = front_seconds();
    if (code == EXIT_FINE && (b->as & AS_SO))
        code = artifact_link(r, LINK_SHARED, b->emit.prefix, b->objects, b->object_count,
                             path_for(r, b, AS_SO));
    if (code == EXIT_FINE && (b->as & AS_EXE))
        code = artifact_link(r, LINK_PROGRAM, b->emit.prefix, b->objects, b->object_count,
                             path_for(r, b, AS_EXE));
    if (code == EXIT_FINE && (b->as & AS_OBJ))
        code = join_objects(r, b);
    stage_time(r, "link", t);
    b->emit.weights_file = NULL;
    if (code == EXIT_FINE && (b->as & AS_IR))
        code = write_text(r, b, EMIT_LLVM_IR, AS_IR);
    if (code == EXIT_FINE && (b->as & AS_ASM))
        code = write_text(r, b, EMIT_ASM, AS_ASM);
    if (code == EXIT_FINE && (b->as & AS_HEADER)) {
        Buf text = {0};
        artifact_header(&b->net, &b->native.plan, b->emit.prefix, b->emit.max_batch, &text);
        code = front_write(r, path_for(r, b, AS_HEADER), &text);
    }
    return code;
}

/* The parameters under our own names: what --init made, or a public checkpoint renamed. */
static int write_weights(Run *r, const Build *b)
{
    const char *err, *path = path_for(r, b, AS_WEIGHTS);
    if (!weights_write_safetensors(&b->params.weights, path, &err))
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    return EXIT_FINE;
}

int command_build(Run *r)
{
    Build b = {0};
    Buf err = {0};
    int64_t max_batch;
    int code = parse_emit(r, cli_get(r->cli, OPT_EMIT), &b.as);
    if (code == EXIT_FINE && !cli_int(r->cli, OPT_MAX_BATCH, 1, 4096, 8, &max_batch, &err)) {
        code = front_fail(r, EXIT_USAGE, "%s", err.at);
        buf_free(&err);
    }
    if (code == EXIT_FINE)
        code = front_open(r, r->cli->operands[0], VERDICTS_REPORT, &b.net);
    if (code != EXIT_FINE)
        return code;
    b.emit = native_emit_options(r, &b.net, (int)max_batch);
    const char *prefix = cli_get(r->cli, OPT_PREFIX);
    b.emit.prefix =
        artifact_identifier(&r->net_arena, prefix != NULL ? prefix : b.net.elab->graph.name);
    b.exact = cli_get(r->cli, OPT_OUTPUT);
    b.base = b.exact != NULL ? b.exact : b.net.elab->graph.name;
    code = parameters_open(&b.params, r, &b.net, false);
    if (code == EXIT_FINE && (b.as & AS_WEIGHTS))
        code = write_weights(r, &b);
    bool compile = (b.as & ~(unsigned)AS_WEIGHTS) != 0;
    if (code == EXIT_FINE && compile)
        code = native_plan(&b.native, r, &b.net);
    if (code == EXIT_FINE && compile)
        code = native_pack(&b.native, r, &b.net, &b.params);
    if (code == EXIT_FINE && compile)
        code = emit_all(r, &b);
    remove_temporaries(&b);
    native_close(&b.native);
    parameters_close(&b.params);
    return code;
}
