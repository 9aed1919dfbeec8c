/* build: the files a user deploys. */
#include "driver/artifact.h"
#include "driver/gpu.h"
#include "driver/commands.h"
#include "support/fs.h"
#include "support/temp.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OBJECTS_MAX = 512 }; /* of all variants: what one process compiles in pieces, and weights */

typedef struct Build {
    Net net;
    Parameters params;
    Artifact artifact;
    bool trains; /* --mode=train: the one variant is inference on the state of `step` */
    TrainSpec spec;
    TrainStep step;
    EmitOptions step_emit;
    unsigned forms;
    FsMapOut packed; /* weights in place, in an object or in a file of their own */
    char *tmp;       /* NULL when there is none */
    const char *objects[OBJECTS_MAX];
    int object_count;
} Build;

/* Forms that are machine code, and those that carry or describe packed weights. */
static const unsigned linked = FORM_BIT(EXE) | FORM_BIT(SO) | FORM_BIT(OBJ);
static const unsigned weighted = FORM_BIT(EXE) | FORM_BIT(SO) | FORM_BIT(OBJ) | FORM_BIT(PACKED) |
                                 FORM_BIT(MANIFEST) | FORM_BIT(IR) | FORM_BIT(ASM);

static int parse_emit(Run *r, const char *list, unsigned *out)
{
    *out = list == NULL ? FORM_BIT(EXE) : 0;
    while (list != NULL && *list != '\0') {
        size_t n = strcspn(list, ",");
        int k = 0;
        while (k < FORM_COUNT &&
               (strlen(form_info[k].name) != n || memcmp(form_info[k].name, list, n) != 0))
            k++;
        if (k == FORM_COUNT) {
            Buf known = {0};
            for (int i = 0; i < FORM_COUNT; i++)
                buf_printf(&known, "%s%s",
                           i == 0               ? ""
                           : i + 1 < FORM_COUNT ? ", "
                                                : " and ",
                           form_info[i].name);
            int code = front_fail(r, EXIT_USAGE, "--emit takes %s, not '%.*s'",
                                  known.at != NULL ? known.at : "", (int)n, list);
            buf_free(&known);
            return code;
        }
        *out |= 1u << k;
        list += n + (list[n] == ',');
    }
    if (*out == 0)
        return front_fail(r, EXIT_USAGE, "--emit is empty");
    if ((*out & FORM_BIT(PKG_CONFIG)) && !(*out & (FORM_BIT(SO) | FORM_BIT(OBJ))))
        return front_fail(r, EXIT_USAGE, "--emit=pkg-config needs so or obj beside it");
    return EXIT_FINE;
}

/* Of several variants such forms are files NAME.CPU.SUFFIX. */
static void choose_variant_paths(Run *r, Build *b, const char *base)
{
    Artifact *x = &b->artifact;
    for (int i = 0; i < x->count; i++) {
        Variant *v = &x->variants[i];
        for (int f = 0; f < FORM_COUNT; f++) {
            if (!(b->forms & FORMS_OF_VARIANT & 1u << f))
                continue;
            if (x->count > 1)
                v->paths[f] = arena_printf(&r->net_arena, "%s.%s%s", base,
                                           v->native.plan.target.cpu, form_info[f].suffix);
            else if (x->paths[f] != NULL)
                v->paths[f] = x->paths[f];
            else
                v->paths[f] = arena_printf(&r->net_arena, "%s%s", base, form_info[f].suffix);
        }
        if (v->paths[FORM_PACKED] != NULL)
            v->emit.weights_file = artifact_file(v->paths[FORM_PACKED]);
    }
    for (int f = 0; f < FORM_COUNT; f++)
        if (FORMS_OF_VARIANT & 1u << f)
            x->paths[f] = NULL;
}

/* -o names the one file that is asked for, or what all files' names begin with. */
static int choose_paths(Run *r, Build *b)
{
    const char *given = cli_get(r->cli, OPT_OUTPUT);
    const char *base = given != NULL ? given : b->net.elab->graph.name;
    bool single = given != NULL && (b->forms & (b->forms - 1)) == 0;
    unsigned asked = b->forms;
    if (single && b->artifact.count > 1 && (asked & FORMS_OF_VARIANT) && strcmp(given, "-") == 0)
        return front_fail(r, EXIT_USAGE, "several processors make several files: -o cannot be -");
    for (int f = 0; f < FORM_COUNT && single; f++) {
        size_t len = strlen(base), suffix = strlen(form_info[f].suffix);
        if (asked != 1u << f)
            continue;
        b->artifact.paths[f] = given;
        if (suffix > 0 && len > suffix && strcmp(base + len - suffix, form_info[f].suffix) == 0)
            base = arena_printf(&r->net_arena, "%.*s", (int)(len - suffix), base);
    }
    if (b->artifact.external &&
        (b->forms & (native_wants_cuda(r) ? FORM_BIT(MANIFEST) | linked : linked)))
        b->forms |= FORM_BIT(PACKED);
    for (int f = 0; f < FORM_COUNT; f++)
        if ((b->forms & 1u << f) && !(FORMS_OF_VARIANT & 1u << f) && b->artifact.paths[f] == NULL)
            b->artifact.paths[f] = arena_printf(&r->net_arena, "%s%s", base, form_info[f].suffix);
    choose_variant_paths(r, b, base);
    return EXIT_FINE;
}

/* What a variant's packed file holds: weights, or the parameters that a training begins with. */
static size_t packed_bytes(const Build *b, const Variant *v)
{
    return artifact_weight_bytes(&b->artifact, v);
}

static int choose_mode(Run *r, Build *b)
{
    const char *mode = cli_get(r->cli, OPT_WEIGHTS_MODE);
    Artifact *x = &b->artifact;
    size_t bytes = 0; /* each well below 2^61: the planner's limit */
    for (int i = 0; i < x->count; i++)
        bytes += packed_bytes(b, &x->variants[i]);
    if (mode == NULL || strcmp(mode, "auto") == 0)
        x->external =
            (native_wants_cuda(r) && !(b->forms & linked)) || bytes > ARTIFACT_EMBED_LIMIT;
    else if (strcmp(mode, "embed") != 0 && strcmp(mode, "external") != 0)
        return front_fail(r, EXIT_USAGE, "--weights-mode takes auto, embed or external, not '%s'",
                          mode);
    else
        x->external = strcmp(mode, "external") == 0;
    for (int i = 0; i < x->count; i++)
        x->variants[i].emit.embed = !x->external;
    return EXIT_FINE;
}

static int parse_target(Run *r, Build *b)
{
    bool cuda = native_wants_cuda(r);
    if (!cuda && (b->forms & FORM_BIT(PTX)))
        return front_fail(r, EXIT_USAGE, "--emit=ptx is for --target=cuda");
    if (cuda && (b->forms & FORM_BIT(ASM)))
        return front_fail(r, EXIT_USAGE, "the assembly of --target=cuda is --emit=ptx");
    return EXIT_FINE;
}

static const EmitForm not_trained[] = {FORM_EXE, FORM_IR, FORM_ASM};

static int parse_mode(Run *r, Build *b)
{
    const char *mode = cli_get(r->cli, OPT_MODE);
    b->trains = mode != NULL && strcmp(mode, "train") == 0;
    if (mode != NULL && !b->trains && strcmp(mode, "inference") != 0)
        return front_fail(r, EXIT_USAGE, "--mode takes inference or train, not '%s'", mode);
    if (!b->trains && cli_has(r->cli, OPT_SET))
        return front_fail(r, EXIT_USAGE, "--set is for --mode=train");
    if (!b->trains && cli_has(r->cli, OPT_RECOMPUTE))
        return front_fail(r, EXIT_USAGE, "--recompute is for --mode=train");
    for (size_t i = 0; i < sizeof not_trained / sizeof *not_trained && b->trains; i++)
        if ((b->forms & 1u << not_trained[i]) &&
            !(not_trained[i] == FORM_IR && native_wants_cuda(r)))
            return front_fail(r, EXIT_USAGE,
                              "--mode=train makes a library: --emit=so or obj, and not %s",
                              form_info[not_trained[i]].name);
    if (b->trains && b->artifact.count > 1)
        return front_fail(r, EXIT_USAGE, "--mode=train compiles for one processor");
    return EXIT_FINE;
}

static int plan_training(Run *r, Build *b)
{
    Variant *v = &b->artifact.variants[0];
    v->emit.prefix = b->artifact.prefix;
    if (!cli_has(r->cli, OPT_MAX_BATCH))
        v->emit.max_batch = (int)b->spec.batch;
    int code = train_step_plan(&b->step, r, &b->net, &b->spec);
    if (code == EXIT_FINE)
        code = native_plan_evaluation(&v->native, r, &b->net, &b->step.code);
    b->artifact.step = &b->step;
    return code;
}

/* Options of the step's object: its names begin with PREFIX_train. */
static void choose_step(Run *r, Build *b)
{
    EmitOptions *o = &b->artifact.variants[0].emit;
    b->step_emit = *o;
    b->step_emit.prefix = arena_printf(&r->net_arena, "%s_train", o->prefix);
    b->step_emit.inference = o->prefix;
    o->embed = false;
    o->weights_file = NULL;
}

static int write_buf(Run *r, Buf *text, const char *path)
{
    const char *why = NULL;
    int code = EXIT_FINE;
    if (!buf_ok(text))
        code = front_fail(r, EXIT_LIMIT, "out of memory");
    else if (!fs_write_all(path, text->at != NULL ? text->at : "", text->len, false, &why))
        code = front_fail(r, front_blame(EXIT_FILE, why), "%s: %s", path, why);
    buf_free(text);
    return code;
}

/* Each text is a model of its own, under the plain prefix. */
static int write_code_text(Run *r, Build *b, const Variant *v, EmitKind kind, const char *path)
{
    char err[512] = "";
    EmitResult out = {0};
    Buf text = {0};
    EmitOptions o = v->emit;
    o.prefix = b->artifact.prefix;
    if (b->trains) {
        o.step = &b->step.code.plan;
        o.step_prefix = b->step_emit.prefix;
    }
    if (!v->native.api->emit(&v->native.plan, kind, &o, &out, err, sizeof err))
        return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
    for (int i = 0; i < out.count; i++)
        buf_addn(&text, out.pieces[i].data, out.pieces[i].len);
    v->native.api->emit_free(&out);
    return write_buf(r, &text, path);
}

static int temporary_folder(Run *r, Build *b)
{
    const char *dir = getenv("TMPDIR");
    if (dir == NULL || *dir == '\0')
        dir = "/tmp";
    char *path = arena_printf(&r->net_arena, "%s/cnnc-XXXXXX", dir);
    if (!temp_folder(path))
        return front_fail(r, EXIT_FILE, "no temporary folder in %s: %s", dir, strerror(errno));
    b->tmp = path;
    return EXIT_FINE;
}

static void remove_temporaries(Build *b)
{
    fs_map_abandon(&b->packed);
    for (int i = 0; i < b->object_count; i++) {
        unlink(b->objects[i]);
        temp_drop(b->objects[i]);
    }
    if (b->tmp != NULL)
        temp_remove_folder(b->tmp);
}

static int new_object(Run *r, Build *b, const char **path)
{
    if (b->object_count == OBJECTS_MAX)
        return front_fail(r, EXIT_INTERNAL, "too many object files");
    *path = arena_printf(&r->net_arena, "%s/piece%d.o", b->tmp, b->object_count);
    temp_add(*path);
    b->objects[b->object_count++] = *path;
    return EXIT_FINE;
}

static int add_object(Run *r, Build *b, const EmitPiece *piece)
{
    const char *path = NULL, *why = NULL;
    int code = new_object(r, b, &path);
    if (code == EXIT_FINE && !fs_write_all(path, piece->data, piece->len, false, &why))
        code = front_fail(r, front_blame(EXIT_FILE, why), "%s: %s", path, why);
    return code;
}

/* Packs into the file `path`, between head and tail, and keeps the checksum. */
static int pack_into(Run *r, Build *b, Variant *v, const char *path, const EmitPiece *head,
                     const EmitPiece *tail)
{
    const char *why = NULL;
    size_t bytes = packed_bytes(b, v);
    if (!fs_map_out(&b->packed, path, head->len + bytes + tail->len, &why))
        return front_fail(r, front_blame(EXIT_FILE, why), "%s: %s", path, why);
    unsigned char *at = b->packed.data;
    if (head->len > 0)
        memcpy(at, head->data, head->len);
    if (tail->len > 0)
        memcpy(at + head->len + bytes, tail->data, tail->len);
    int code = EXIT_FINE;
    if (bytes > 0 && b->trains)
        code = train_step_parameters(&b->step, r, &b->params, (float *)(void *)(at + head->len));
    else if (bytes > 0)
        code = native_pack(&v->native, r, &b->net, &b->params, (float *)(void *)(at + head->len));
    if (code != EXIT_FINE)
        return code;
    double t = front_seconds();
    v->emit.weights_hash = b->step_emit.weights_hash = cnnrt_hash(at + head->len, bytes);
    stage_time(r, "checksum", t);
    if (!fs_map_commit(&b->packed, &why))
        return front_fail(r, front_blame(EXIT_FILE, why), "%s: %s", path, why);
    return EXIT_FINE;
}

/* Weights that are embedded become an object; external ones the file that is mapped later. */
static int pack_weights(Run *r, Build *b, Variant *v)
{
    EmitPiece head = {0}, tail = {0};
    char err[512] = "";
    const char *external = v->paths[FORM_PACKED], *path = NULL;
    int code = EXIT_FINE;
    if (external != NULL)
        code = pack_into(r, b, v, external, &head, &tail);
    const EmitOptions *o = b->trains ? &b->step_emit : &v->emit;
    bool object = (b->forms & linked) && o->embed;
    if (code != EXIT_FINE || (external != NULL && !object))
        return code;
    if (object && !v->native.api->weights(native_host(&v->native), o->prefix, packed_bytes(b, v),
                                          &head, &tail, err, sizeof err))
        return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
    code = new_object(r, b, &path);
    if (code == EXIT_FINE)
        code = pack_into(r, b, v, path, &head, &tail);
    free(head.data);
    free(tail.data);
    return code;
}

/* Object pieces go to files in a private folder, for the linker to read. */
static int add_objects(Run *r, Build *b, const Native *n, const EmitOptions *o)
{
    char err[512] = "";
    EmitResult out = {0};
    double t = front_seconds();
    if (!n->api->emit(&n->plan, EMIT_OBJECT, o, &out, err, sizeof err))
        return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
    stage_time(r, "generate code", t);
    int code = EXIT_FINE;
    for (int i = 0; i < out.count && code == EXIT_FINE; i++)
        code = add_object(r, b, &out.pieces[i]);
    n->api->emit_free(&out);
    return code;
}

static int make_objects(Run *r, Build *b, const Native *n, EmitOptions *o)
{
    int code = n->plan.target.kind == TARGET_CUDA ? gpu_images(r, n, b->tmp, o) : EXIT_FINE;
    if (code == EXIT_FINE)
        code = add_objects(r, b, n, o);
    gpu_free(o);
    return code;
}

/* What chooses among several variants. */
static int make_dispatch(Run *r, Build *b)
{
    const Artifact *x = &b->artifact;
    const char *prefixes[CODEGEN_VARIANTS];
    char err[512] = "";
    EmitPiece piece;
    for (int i = 0; i < x->count; i++)
        prefixes[i] = x->variants[i].emit.prefix;
    const Native *n = &x->variants[0].native;
    if (!n->api->dispatch(native_host(n), x->prefix, prefixes, x->count, &piece, err, sizeof err))
        return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
    int code = add_object(r, b, &piece);
    free(piece.data);
    return code;
}

static int link_all(Run *r, Build *b)
{
    const Artifact *x = &b->artifact;
    int code = EXIT_FINE;
    for (int i = 0; i < x->count && code == EXIT_FINE; i++) {
        Variant *v = &b->artifact.variants[i];
        code = make_objects(r, b, &v->native, &v->emit);
    }
    if (code == EXIT_FINE && b->trains)
        code = make_objects(r, b, &b->step.code, &b->step_emit);
    if (code == EXIT_FINE && x->count > 1)
        code = make_dispatch(r, b);
    double t = front_seconds();
    if (code == EXIT_FINE && x->paths[FORM_SO] != NULL)
        code = artifact_link(r, x, LINK_SHARED, b->objects, b->object_count, x->paths[FORM_SO]);
    if (code == EXIT_FINE && x->paths[FORM_EXE] != NULL)
        code = artifact_link(r, x, LINK_PROGRAM, b->objects, b->object_count, x->paths[FORM_EXE]);
    if (code == EXIT_FINE && x->paths[FORM_OBJ] != NULL)
        code = artifact_join(r, x, b->objects, b->object_count, x->paths[FORM_OBJ]);
    stage_time(r, "link", t);
    return code;
}

static int write_texts(Run *r, Build *b)
{
    static const struct {
        EmitForm form;
        void (*write)(const Artifact *x, Buf *out);
    } beside[] = {{FORM_HEADER, artifact_header},
                  {FORM_PKG_CONFIG, artifact_pkg_config},
                  {FORM_MANIFEST, artifact_manifest}};
    const char *const *paths = b->artifact.paths;
    int code = EXIT_FINE;
    for (int i = 0; i < b->artifact.count && code == EXIT_FINE; i++) {
        const Variant *v = &b->artifact.variants[i];
        if (v->paths[FORM_IR] != NULL)
            code = write_code_text(r, b, v, EMIT_LLVM_IR, v->paths[FORM_IR]);
        for (int f = 0; f < FORM_COUNT && code == EXIT_FINE; f++)
            if ((f == FORM_ASM || f == FORM_PTX) && v->paths[f] != NULL)
                code = write_code_text(r, b, v, EMIT_ASM, v->paths[f]);
    }
    for (size_t i = 0; i < sizeof beside / sizeof beside[0] && code == EXIT_FINE; i++) {
        Buf text = {0};
        if (paths[beside[i].form] == NULL)
            continue;
        beside[i].write(&b->artifact, &text);
        code = write_buf(r, &text, paths[beside[i].form]);
    }
    return code;
}

/* The parameters under our own names: what --init made, or a public checkpoint renamed. */
static int write_weights(Run *r, const Build *b)
{
    const char *err, *path = b->artifact.paths[FORM_WEIGHTS];
    if (!weights_write_safetensors(&b->params.weights, path, &err))
        return front_fail(r, front_blame(EXIT_FILE, err), "%s: %s", path, err);
    return EXIT_FINE;
}

static int compile_all(Run *r, Build *b)
{
    Artifact *x = &b->artifact;
    int code = b->forms & weighted ? temporary_folder(r, b) : EXIT_FINE;
    for (int i = 0; i < x->count; i++)
        x->variants[i].emit.compiler =
            arena_printf(&r->net_arena, "cnnc %s (LLVM %s)", CNNC_VERSION,
                         x->variants[i].native.api->llvm_version);
    if (b->trains)
        choose_step(r, b);
    for (int i = 0; i < x->count && (b->forms & weighted) && code == EXIT_FINE; i++)
        code = pack_weights(r, b, &x->variants[i]);
    if (code == EXIT_FINE && (b->forms & linked))
        code = link_all(r, b);
    return code;
}

static int emit_all(Run *r, Build *b)
{
    bool compile = (b->forms & ~FORM_BIT(WEIGHTS)) != 0;
    int code = EXIT_FINE;
    if (compile)
        code = b->trains ? plan_training(r, b) : variant_plan(r, &b->artifact);
    if (code == EXIT_FINE && compile)
        code = choose_mode(r, b);
    if (code == EXIT_FINE)
        code = choose_paths(r, b);
    if (code == EXIT_FINE && (b->forms & FORM_BIT(WEIGHTS)))
        code = write_weights(r, b);
    if (code == EXIT_FINE && compile)
        code = compile_all(r, b);
    return code == EXIT_FINE ? write_texts(r, b) : code;
}

int command_build(Run *r)
{
    Build b = {0};
    Buf err = {0};
    int64_t max_batch;
    Artifact *x = &b.artifact;
    int code = parse_emit(r, cli_get(r->cli, OPT_EMIT), &b.forms);
    if (code == EXIT_FINE && !cli_int(r->cli, OPT_MAX_BATCH, 1, 4096, 8, &max_batch, &err)) {
        code = front_fail(r, EXIT_USAGE, "%s", err.at);
        buf_free(&err);
    }
    if (code == EXIT_FINE)
        code = variant_parse(r, x, cli_get(r->cli, OPT_TARGET_CPU));
    if (code == EXIT_FINE)
        code = parse_mode(r, &b);
    if (code == EXIT_FINE)
        code = parse_target(r, &b);
    if (code == EXIT_FINE)
        code = front_open(r, r->cli->operands[0], VERDICTS_REPORT, &b.net);
    if (code == EXIT_FINE && b.trains)
        code = train_settings(r, &b.net, &b.spec);
    if (code != EXIT_FINE)
        return code;
    for (int i = 0; i < x->count; i++)
        x->variants[i].emit = native_emit_options(r, &b.net, (int)max_batch);
    const char *prefix = cli_get(r->cli, OPT_PREFIX);
    x->prefix =
        artifact_identifier(&r->net_arena, prefix != NULL ? prefix : b.net.elab->graph.name);
    code = parameters_open(&b.params, r, &b.net, false);
    x->net = &b.net;
    x->origin = b.params.origin;
    if (code == EXIT_FINE)
        code = emit_all(r, &b);
    remove_temporaries(&b);
    variant_close(x);
    if (b.trains)
        train_step_close(&b.step);
    parameters_close(&b.params);
    return code;
}
