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

typedef struct Build {
    Net net;
    Parameters params;
    Native native;
    bool trains; /* --mode=train: native is inference on the state of `step` */
    TrainSpec spec;
    TrainStep step;
    EmitOptions emit, step_emit;
    Artifact artifact;
    unsigned forms;
    FsMapOut packed; /* weights in place, in an object or in a file of their own */
    char *tmp;       /* NULL when there is none */
    const char *objects[512];
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

/* -o names the one file that is asked for, or what all files' names begin with. */
static void choose_paths(Run *r, Build *b)
{
    const char *given = cli_get(r->cli, OPT_OUTPUT);
    const char *base = given != NULL ? given : b->net.elab->graph.name;
    bool single = given != NULL && (b->forms & (b->forms - 1)) == 0;
    unsigned asked = b->forms;
    for (int f = 0; f < FORM_COUNT && single; f++) {
        size_t len = strlen(base), suffix = strlen(form_info[f].suffix);
        if (asked != 1u << f)
            continue;
        b->artifact.paths[f] = given;
        if (suffix > 0 && len > suffix && strcmp(base + len - suffix, form_info[f].suffix) == 0)
            base = arena_printf(&r->net_arena, "%.*s", (int)(len - suffix), base);
    }
    if (b->artifact.external && (b->forms & linked))
        b->forms |= FORM_BIT(PACKED);
    for (int f = 0; f < FORM_COUNT; f++)
        if ((b->forms & 1u << f) && b->artifact.paths[f] == NULL)
            b->artifact.paths[f] = arena_printf(&r->net_arena, "%s%s", base, form_info[f].suffix);
    if (b->artifact.paths[FORM_PACKED] != NULL)
        b->emit.weights_file = artifact_file(b->artifact.paths[FORM_PACKED]);
}

/* What the packed file holds: weights, or the parameters that a training begins with. */
static size_t packed_bytes(const Build *b)
{
    const Plan *p = b->trains ? &b->step.code.plan : &b->native.plan;
    return (size_t)(b->trains ? p->state.kept : p->weight_floats) * sizeof(float);
}

static int choose_mode(Run *r, Build *b)
{
    const char *mode = cli_get(r->cli, OPT_WEIGHTS_MODE);
    size_t bytes = packed_bytes(b);
    if (mode == NULL || strcmp(mode, "auto") == 0)
        b->artifact.external = bytes > ARTIFACT_EMBED_LIMIT;
    else if (strcmp(mode, "embed") != 0 && strcmp(mode, "external") != 0)
        return front_fail(r, EXIT_USAGE, "--weights-mode takes auto, embed or external, not '%s'",
                          mode);
    else
        b->artifact.external = strcmp(mode, "external") == 0;
    b->emit.embed = !b->artifact.external;
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
    for (size_t i = 0; i < sizeof not_trained / sizeof *not_trained && b->trains; i++)
        if (b->forms & 1u << not_trained[i])
            return front_fail(r, EXIT_USAGE,
                              "--mode=train makes a library: --emit=so or obj, and not %s",
                              form_info[not_trained[i]].name);
    return EXIT_FINE;
}

static int plan_training(Run *r, Build *b)
{
    if (!cli_has(r->cli, OPT_MAX_BATCH))
        b->emit.max_batch = (int)b->spec.batch;
    int code = train_step_plan(&b->step, r, &b->net, &b->spec);
    if (code == EXIT_FINE)
        code = native_plan_evaluation(&b->native, r, &b->net, &b->step.code);
    b->artifact.step = &b->step;
    return code;
}

/* Options of the step's object: its names begin with PREFIX_train. */
static void choose_step(Run *r, Build *b)
{
    b->step_emit = b->emit;
    b->step_emit.prefix = arena_printf(&r->net_arena, "%s_train", b->emit.prefix);
    b->step_emit.inference = b->emit.prefix;
    b->emit.embed = false;
    b->emit.weights_file = NULL;
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

static int write_code_text(Run *r, Build *b, EmitKind kind, const char *path)
{
    char err[512] = "";
    EmitResult out = {0};
    Buf text = {0};
    if (!b->native.api->emit(&b->native.plan, kind, &b->emit, &out, err, sizeof err))
        return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
    for (int i = 0; i < out.count; i++)
        buf_addn(&text, out.pieces[i].data, out.pieces[i].len);
    b->native.api->emit_free(&out);
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
    if (b->tmp != NULL) {
        rmdir(b->tmp);
        temp_drop(b->tmp);
    }
}

static const char *new_object(Run *r, Build *b)
{
    const char *path = arena_printf(&r->net_arena, "%s/piece%d.o", b->tmp, b->object_count);
    temp_add(path);
    return b->objects[b->object_count++] = path;
}

/* Packs into the file `path`, between head and tail, and keeps the checksum. */
static int pack_into(Run *r, Build *b, const char *path, const EmitPiece *head,
                     const EmitPiece *tail)
{
    const char *why = NULL;
    size_t bytes = packed_bytes(b);
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
        code = native_pack(&b->native, r, &b->net, &b->params, (float *)(void *)(at + head->len));
    if (code != EXIT_FINE)
        return code;
    double t = front_seconds();
    b->emit.weights_hash = b->step_emit.weights_hash = cnnrt_hash(at + head->len, bytes);
    stage_time(r, "checksum", t);
    if (!fs_map_commit(&b->packed, &why))
        return front_fail(r, front_blame(EXIT_FILE, why), "%s: %s", path, why);
    return EXIT_FINE;
}

/* Weights that are embedded become an object; external ones the file that is mapped later. */
static int pack_weights(Run *r, Build *b)
{
    EmitPiece head = {0}, tail = {0};
    char err[512] = "";
    const char *external = b->artifact.paths[FORM_PACKED];
    const EmitOptions *o = b->trains ? &b->step_emit : &b->emit;
    size_t bytes = packed_bytes(b);
    int code = EXIT_FINE;
    if (external != NULL)
        code = pack_into(r, b, external, &head, &tail);
    bool object = (b->forms & linked) && o->embed;
    if (code != EXIT_FINE || (external != NULL && !object))
        return code;
    if (object && !b->native.api->weights(&b->native.plan.target, o->prefix, bytes, &head, &tail,
                                          err, sizeof err))
        return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
    code = pack_into(r, b, new_object(r, b), &head, &tail);
    free(head.data);
    free(tail.data);
    return code;
}

/* Object pieces go to files in a private folder, for the linker to read. */
static int make_objects(Run *r, Build *b, const Plan *p, const EmitOptions *o)
{
    const char *why = NULL;
    char err[512] = "";
    EmitResult out = {0};
    double t = front_seconds();
    if (!b->native.api->emit(p, EMIT_OBJECT, o, &out, err, sizeof err))
        return front_fail(r, front_blame(EXIT_INTERNAL, err), "code generation: %s", err);
    stage_time(r, "generate code", t);
    int code = EXIT_FINE;
    for (int i = 0; i < out.count && code == EXIT_FINE; i++) {
        if (b->object_count == (int)(sizeof b->objects / sizeof b->objects[0])) {
            code = front_fail(r, EXIT_INTERNAL, "too many object files");
            break;
        }
        const char *path = new_object(r, b);
        if (!fs_write_all(path, out.pieces[i].data, out.pieces[i].len, false, &why))
            code = front_fail(r, front_blame(EXIT_FILE, why), "%s: %s", path, why);
    }
    b->native.api->emit_free(&out);
    return code;
}

static int link_all(Run *r, Build *b)
{
    const char *const *paths = b->artifact.paths;
    int code = make_objects(r, b, &b->native.plan, &b->emit);
    if (code == EXIT_FINE && b->trains)
        code = make_objects(r, b, &b->step.code.plan, &b->step_emit);
    double t = front_seconds();
    if (code == EXIT_FINE && paths[FORM_SO] != NULL)
        code = artifact_link(r, LINK_SHARED, b->emit.prefix, b->objects, b->object_count,
                             paths[FORM_SO]);
    if (code == EXIT_FINE && paths[FORM_EXE] != NULL)
        code = artifact_link(r, LINK_PROGRAM, b->emit.prefix, b->objects, b->object_count,
                             paths[FORM_EXE]);
    if (code == EXIT_FINE && paths[FORM_OBJ] != NULL)
        code = artifact_join(r, b->objects, b->object_count, paths[FORM_OBJ]);
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
    if (paths[FORM_IR] != NULL)
        code = write_code_text(r, b, EMIT_LLVM_IR, paths[FORM_IR]);
    if (code == EXIT_FINE && paths[FORM_ASM] != NULL)
        code = write_code_text(r, b, EMIT_ASM, paths[FORM_ASM]);
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

static int emit_all(Run *r, Build *b)
{
    bool compile = (b->forms & ~FORM_BIT(WEIGHTS)) != 0;
    int code = EXIT_FINE;
    if (compile)
        code = b->trains ? plan_training(r, b) : native_plan(&b->native, r, &b->net);
    if (code == EXIT_FINE && compile)
        code = choose_mode(r, b);
    if (code != EXIT_FINE)
        return code;
    choose_paths(r, b);
    if (compile) {
        b->emit.compiler = arena_printf(&r->net_arena, "cnnc %s (LLVM %s)", CNNC_VERSION,
                                        b->native.api->llvm_version);
        b->artifact.native = &b->native;
    }
    if (b->trains)
        choose_step(r, b);
    if (b->forms & FORM_BIT(WEIGHTS))
        code = write_weights(r, b);
    if (code == EXIT_FINE && (b->forms & weighted))
        code = temporary_folder(r, b);
    if (code == EXIT_FINE && (b->forms & weighted))
        code = pack_weights(r, b);
    if (code == EXIT_FINE && (b->forms & linked))
        code = link_all(r, b);
    return code == EXIT_FINE ? write_texts(r, b) : code;
}

int command_build(Run *r)
{
    Build b = {0};
    Buf err = {0};
    int64_t max_batch;
    int code = parse_emit(r, cli_get(r->cli, OPT_EMIT), &b.forms);
    if (code == EXIT_FINE && !cli_int(r->cli, OPT_MAX_BATCH, 1, 4096, 8, &max_batch, &err)) {
        code = front_fail(r, EXIT_USAGE, "%s", err.at);
        buf_free(&err);
    }
    if (code == EXIT_FINE)
        code = parse_mode(r, &b);
    if (code == EXIT_FINE)
        code = front_open(r, r->cli->operands[0], VERDICTS_REPORT, &b.net);
    if (code == EXIT_FINE && b.trains)
        code = train_settings(r, &b.net, &b.spec);
    if (code != EXIT_FINE)
        return code;
    b.emit = native_emit_options(r, &b.net, (int)max_batch);
    const char *prefix = cli_get(r->cli, OPT_PREFIX);
    b.emit.prefix =
        artifact_identifier(&r->net_arena, prefix != NULL ? prefix : b.net.elab->graph.name);
    code = parameters_open(&b.params, r, &b.net, false);
    b.artifact.net = &b.net;
    b.artifact.emit = &b.emit;
    b.artifact.origin = b.params.origin;
    if (code == EXIT_FINE)
        code = emit_all(r, &b);
    remove_temporaries(&b);
    native_close(&b.native);
    if (b.trains)
        train_step_close(&b.step);
    parameters_close(&b.params);
    return code;
}
