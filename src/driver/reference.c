/* ops, doctor, version: what this cnnc knows, and whether this machine has what it needs. */
#include "driver/artifact.h"
#include "driver/commands.h"
#include "driver/gpu.h"
#include "support/fs.h"
#include "support/intern.h"
#include "support/temp.h"
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* 1: JSON, 0: a table, -1: refused. */
static int wants_json(Run *r)
{
    const char *format = cli_get(r->cli, OPT_FORMAT);
    if (format == NULL || strcmp(format, "table") == 0)
        return 0;
    if (strcmp(format, "json") == 0)
        return 1;
    front_fail(r, EXIT_USAGE, "--format takes table or json here, not '%s'", format);
    return -1;
}

static const char *inputs_text(int inputs)
{
    static const char *const text[] = {"0", "1", "2", "3"};
    return inputs == -1 ? "2 or more" : inputs == -2 ? "1 or more" : text[inputs & 3];
}

static void size_text(int64_t h, int64_t w, Buf *out)
{
    buf_printf(out, "%" PRId64, h);
    if (w != h)
        buf_printf(out, "x%" PRId64, w);
}

static void default_text(const AttrInfo *a, Buf *out)
{
    const AttrVal *v = &a->def;
    switch (a->type) {
    case ATTR_INT: buf_printf(out, "%" PRId64, v->i); break;
    case ATTR_BOOL: buf_add(out, v->i != 0 ? "true" : "false"); break;
    case ATTR_REAL: buf_printf(out, "%g", v->r); break;
    case ATTR_SIZE: size_text(v->size.h, v->size.w, out); break;
    case ATTR_STR: buf_printf(out, "\"%s\"", v->str != NULL ? v->str : ""); break;
    case ATTR_PAD:
        if (v->pad.kind == PAD_EXPLICIT)
            buf_printf(out, "%" PRId64, v->pad.top);
        else
            buf_add(out, v->pad.kind == PAD_SAME_SYM ? "same" : "same_upper");
        break;
    }
}

/* conv(c, k, stride = 1, ...) */
static void signature(const OpInfo *o, Buf *out)
{
    buf_printf(out, "%s(", o->name);
    for (int i = 0; i < o->attr_count; i++) {
        buf_printf(out, "%s%s", i > 0 ? ", " : "", o->attrs[i].name);
        if (o->attrs[i].required)
            continue;
        buf_add(out, " = ");
        default_text(&o->attrs[i], out);
    }
    buf_addc(out, ')');
}

static const char *type_name(AttrType t)
{
    static const char *const names[] = {
        [ATTR_INT] = "int",   [ATTR_REAL] = "real", [ATTR_BOOL] = "bool",
        [ATTR_SIZE] = "size", [ATTR_PAD] = "pad",   [ATTR_STR] = "str"};
    return names[t];
}

static void op_json(const OpInfo *o, Buf *out)
{
    buf_printf(out,
               "{\"name\":\"%s\",\"inputs\":\"%s\",\"weights\":%s,\"layer\":%s,\"doc\":", o->name,
               inputs_text(o->inputs), o->flags & OPF_WEIGHTS ? "true" : "false",
               o->flags & OPF_COUNTED ? "true" : "false");
    buf_json_string(out, o->doc);
    buf_add(out, ",\"attributes\":[");
    for (int i = 0; i < o->attr_count; i++) {
        Buf text = {0};
        buf_printf(out, "%s{\"name\":\"%s\",\"type\":\"%s\",\"default\":", i > 0 ? "," : "",
                   o->attrs[i].name, type_name(o->attrs[i].type));
        if (!o->attrs[i].required)
            default_text(&o->attrs[i], &text);
        if (text.at != NULL)
            buf_json_string(out, text.at);
        else
            buf_add(out, "null");
        buf_free(&text);
        buf_addc(out, '}');
    }
    buf_add(out, "]}");
}

static void op_page(const OpInfo *o, Buf *out)
{
    signature(o, out);
    buf_printf(out, "\n\n%s\ninputs: %s%s%s\n", o->doc, inputs_text(o->inputs),
               o->flags & OPF_WEIGHTS ? "; has parameters" : "",
               o->flags & OPF_COUNTED ? "; counts as a layer" : "");
    for (int i = 0; i < o->attr_count; i++) {
        buf_printf(out, "  %-12s %-5s ", o->attrs[i].name, type_name(o->attrs[i].type));
        if (o->attrs[i].required)
            buf_add(out, "required");
        else
            default_text(&o->attrs[i], out);
        buf_addc(out, '\n');
    }
}

static int unknown_op(Run *r, const char *word)
{
    const char *names[OP_COUNT];
    size_t n = 0;
    for (int i = OP_NONE + 1; i < OP_COUNT; i++)
        if (!(op_info[i].flags & OPF_INTERNAL))
            names[n++] = op_info[i].name;
    const char *near = intern_nearest(word, names, n);
    if (near != NULL)
        return front_fail(r, EXIT_USAGE, "there is no operator '%s'; did you mean '%s'?", word,
                          near);
    return front_fail(r, EXIT_USAGE, "there is no operator '%s'; 'cnnc ops' lists them", word);
}

int command_ops(Run *r)
{
    const char *word = r->cli->operand_count > 0 ? r->cli->operands[0] : NULL, *sep = "\n";
    Op only = word != NULL ? op_by_name(word) : OP_NONE;
    int json = wants_json(r);
    Buf out = {0};
    if (json < 0)
        return EXIT_USAGE;
    if (word != NULL && only == OP_NONE)
        return unknown_op(r, word);
    buf_add(&out, json ? "{\"schema\":1,\"ops\":[" : "");
    for (int i = OP_NONE + 1; i < OP_COUNT; i++) {
        const OpInfo *o = &op_info[i];
        if ((o->flags & OPF_INTERNAL) != 0 || (word != NULL && i != (int)only))
            continue;
        if (json) {
            buf_add(&out, sep);
            op_json(o, &out);
            sep = ",\n";
        } else if (word != NULL) {
            op_page(o, &out);
        } else {
            buf_printf(&out, "%-16s %s\n", o->name, o->doc);
        }
    }
    buf_add(&out, json ? "\n]}\n" : "");
    return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
}

typedef struct Doctor {
    Run *r;
    Buf out;
    bool json;
    int rows, ill;
} Doctor;

typedef enum Health { WELL, WITHOUT, ILL } Health; /* WITHOUT: optional, and not there */

static void finding(Doctor *d, Health h, const char *what, const char *detail)
{
    static const char *const words[] = {"ok", "none", "FAIL"};
    static const char *const colours[] = {"\x1b[32m", "\x1b[2m", "\x1b[31m"};
    d->ill += h == ILL;
    if (d->json) {
        buf_printf(&d->out,
                   "%s{\"what\":\"%s\",\"state\":\"%s\",\"detail\":", d->rows++ > 0 ? ",\n" : "\n",
                   what, h == ILL ? "fail" : words[h]);
        buf_json_string(&d->out, detail);
        buf_addc(&d->out, '}');
        return;
    }
    bool colour = d->r->colour_out && !cli_has(d->r->cli, OPT_OUTPUT);
    buf_printf(&d->out, "%s%-4s%s  %-18s %s\n", colour ? colours[h] : "", words[h],
               colour ? "\x1b[0m" : "", what, detail);
}

static void examine_program(Doctor *d, const char *what, const char *name, bool needed)
{
    const char *path = fs_program(&d->r->session.arena, name);
    if (path != NULL)
        finding(d, WELL, what, path);
    else
        finding(d, needed ? ILL : WITHOUT, what,
                arena_printf(&d->r->session.arena, "%s is not on PATH%s", name,
                             needed ? "" : " (optional)"));
}

static void examine_generator(Doctor *d)
{
    Arena *a = &d->r->session.arena;
    Native x = {0};
    Target t;
    char cpu[64];
    if (native_open(&x, d->r, NULL, &t) != EXIT_FINE) {
        finding(d, ILL, "code generator", "cannot be opened: see the message");
        return;
    }
    finding(d, WELL, "code generator", arena_printf(a, "LLVM %s", x.api->llvm_version));
    x.api->host(cpu, sizeof cpu);
    finding(d, WELL, "processor",
            arena_printf(a, "%s: code for %s, %d floats a vector; %ld processor%s", cpu, t.cpu,
                         t.vl, sysconf(_SC_NPROCESSORS_ONLN),
                         sysconf(_SC_NPROCESSORS_ONLN) == 1 ? "" : "s"));
}

/* Links an empty library, as build does. */
static void examine_linker(Doctor *d)
{
    Arena *a = &d->r->session.arena;
    const char *dir = getenv("TMPDIR"), *why = NULL;
    char *runtime = native_library("libcnnrt.a");
    bool have = runtime != NULL && access(runtime, R_OK) == 0;
    finding(d, have ? WELL : ILL, "runtime", runtime != NULL ? runtime : "not found");
    char *path = arena_printf(a, "%s/cnnc-XXXXXX", dir != NULL && *dir != '\0' ? dir : "/tmp");
    if (!temp_folder(path)) {
        finding(d, ILL, "temporary files", arena_printf(a, "%s: %s", path, strerror(errno)));
        free(runtime);
        return;
    }
    finding(d, WELL, "temporary files", dir != NULL && *dir != '\0' ? dir : "/tmp");
    const char *cc = getenv("CC");
    cc = cc != NULL && *cc != '\0' ? cc : "cc";
    const char *argv[] = {
        cc,          "-shared", "-o", arena_printf(a, "%s/linked", path), have ? runtime : "-lm",
        "-lpthread", NULL};
    int status = fs_spawn(argv, path, &why);
    finding(d, status == 0 ? WELL : ILL, "linking",
            status == 0 ? arena_printf(a, "%s makes shared objects", cc)
                        : arena_printf(a, "%s: %s", cc, why != NULL ? why : "failed; see above"));
    temp_remove_folder(path);
    free(runtime);
}

/* What programs for another machine are linked with. */
static void examine_cross(Doctor *d)
{
    char *runtime = native_library("aarch64/libcnnrt.a");
    bool have = runtime != NULL && access(runtime, R_OK) == 0;
    finding(d, have ? WELL : WITHOUT, "aarch64 runtime",
            have ? runtime : "'make cross ARCH=aarch64' makes it (optional)");
    examine_program(d, "aarch64 compiler", "aarch64-linux-gnu-gcc", false);
    free(runtime);
}

static void examine_gpu(Doctor *d)
{
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    finding(d, driver != NULL ? WELL : WITHOUT, "CUDA driver",
            driver != NULL ? "libcuda.so.1" : "libcuda.so.1 is not installed (optional)");
    if (driver != NULL)
        dlclose(driver);
    Arena *a = &d->r->session.arena;
    const char *ptxas = gpu_tool(a, "ptxas");
    finding(d, ptxas != NULL ? WELL : WITHOUT, "ptxas",
            ptxas != NULL ? ptxas : "not found: artefacts for GPUs carry PTX alone (optional)");
    char *runtime = native_library("libcnnrt_cuda.a");
    bool have = runtime != NULL && access(runtime, R_OK) == 0;
    finding(d, have ? WELL : WITHOUT, "runtime for GPUs",
            have ? runtime : "cnnc was built without the CUDA toolkit 12.8 or newer (optional)");
    free(runtime);
}

int command_doctor(Run *r)
{
    Doctor d = {.r = r};
    int json = wants_json(r);
    NetRef *nets;
    if (json < 0)
        return EXIT_USAGE;
    d.json = json;
    if (json)
        buf_add(&d.out, "{\"schema\":1,\"findings\":[");
    finding(&d, WELL, "cnnc", CNNC_VERSION);
    const char *path = getenv("CNNC_PATH");
    uint32_t count = elab_std_nets(&r->session, &nets);
    finding(&d, count > 0 ? WELL : ILL, "standard library",
            arena_printf(&r->session.arena, "%u nets, %s%s", count,
                         path != NULL && *path != '\0' ? "from CNNC_PATH=" : "embedded",
                         path != NULL ? path : ""));
    examine_generator(&d);
    examine_linker(&d);
    examine_program(&d, "ld", "ld", true);
    examine_program(&d, "pkg-config", "pkg-config", false);
    examine_program(&d, "graphviz", "dot", false);
    examine_cross(&d);
    examine_gpu(&d);
    if (json)
        buf_add(&d.out, "\n]}\n");
    int code = front_write(r, cli_get(r->cli, OPT_OUTPUT), &d.out);
    return code != EXIT_FINE ? code : d.ill > 0 ? EXIT_FILE : EXIT_FINE;
}

int command_version(Run *r)
{
    int json = wants_json(r);
    Buf out = {0};
    if (json < 0)
        return EXIT_USAGE;
    if (json)
        buf_printf(&out, "{\"schema\":1,\"cnnc\":\"%s\",\"llvm\":\"%s\",\"abi\":%d}\n",
                   CNNC_VERSION, CNNC_LLVM, CNNRT_ABI_VERSION);
    else
        buf_printf(&out, "cnnc %s (LLVM %s)\n", CNNC_VERSION, CNNC_LLVM);
    return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
}
