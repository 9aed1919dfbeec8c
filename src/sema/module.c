/* Modules: files and the embedded library, loaded once, with what they import. */
#include "sema/sema.h"
#include "sema/stdlib_data.h"
#include "support/fs.h"
#include "support/stack.h"
#include "support/utf8.h"
#include <limits.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCE_BYTES = 16 << 20, MODULE_LIMIT = 1000, IMPORT_LIMIT = 1000 };

static void load_imports(Session *s, Module *m);

static Module *find_module(const Session *s, const char *path)
{
    for (uint32_t i = 0; i < s->modules.len; i++)
        if (strcmp(s->modules.at[i]->path, path) == 0)
            return s->modules.at[i];
    return NULL;
}

static void declare(Session *s, Module *m, AstId node)
{
    const AstNode *n = node_at(m, node);
    const Decl *old = module_decl(m, n->sym);
    if (old != NULL) {
        uint32_t d = diag(&s->diags, E_REDEFINED, n->name_span, n->sym);
        diag_note(&s->diags, d, old->span, "the other '%s' is here", n->sym);
        return;
    }
    vec_push(&s->arena, &m->decls, ((Decl){n->sym, node, n->name_span}));
    map_put(&s->arena, &m->decl_index, (uintptr_t)n->sym, m->decls.len);
}

static void collect(Session *s, Module *m)
{
    for (uint32_t i = 0; i < kid_count(m, m->ast->root); i++) {
        AstId kid = kid_at(m, m->ast->root, i);
        switch (node_at(m, kid)->kind) {
        case AST_LET:
        case AST_FN:
        case AST_BLOCK:
        case AST_NET:
        case AST_NETALIAS: declare(s, m, kid); break;
        default: break;
        }
    }
}

/* Every @allow of a module silences from here on; malformed ones are check_annotations' business.
 */
static void declare_allows(Session *s, const Module *m)
{
    for (uint32_t v = 1; v < m->ast->nodes.len; v++) {
        const AstNode *on = node_at(m, (AstId){v});
        if (on->kind != AST_BLOCK && on->kind != AST_NET && on->kind != AST_NETALIAS &&
            on->kind != AST_STAGE && on->kind != AST_HEAD && on->kind != AST_INPUT &&
            on->kind != AST_STEP)
            continue;
        AstId annots = kid_at(m, (AstId){v}, 0);
        for (uint32_t i = 0; i < kid_count(m, annots); i++) {
            AstId annot = kid_at(m, annots, i), args = kid_at(m, annot, 0);
            if (strcmp(node_at(m, annot)->sym, "allow") != 0 || kid_count(m, args) != 2)
                continue;
            const AstNode *lint = node_at(m, kid_at(m, kid_at(m, args, 0), 0));
            const AstNode *why = node_at(m, kid_at(m, kid_at(m, args, 1), 0));
            DiagCode code = lint->kind == AST_NAME ? diag_lint(lint->sym) : DIAG_COUNT;
            if (code == DIAG_COUNT || why->kind != AST_STRING)
                continue;
            bool early = code == W_BIDI || code == W_SHADOWS_OP || code == W_ALLOW_UNUSED ||
                         (code == W_UNUSED && on->kind == AST_BLOCK);
            diag_allow(&s->diags, (DiagAllow){.code = code,
                                              .at = node_at(m, annot)->span,
                                              .covers = on->span,
                                              .reason = why->sym,
                                              .elaborated = !early});
        }
    }
}

/* Characters that make a line look like another one (Boucher and Anderson, Trojan Source, 2021). */
static void warn_bidi(Session *s, uint32_t src)
{
    const Source *text = source_get(&s->sources, src);
    const char *end = text->text + text->len;
    for (const char *at = text->text; (at = memchr(at, 0xE2, (size_t)(end - at))) != NULL;) {
        int n = utf8_len(at, end);
        uint32_t code = n > 0 ? utf8_code(at, n) : 0, lo = (uint32_t)(at - text->text);
        if (utf8_is_bidi(code))
            diag(&s->diags, W_BIDI, (Span){src, lo, lo + (uint32_t)n}, code);
        at += n > 0 ? n : 1;
    }
}

static Module *add_module(Session *s, const char *path, const char *shown, const char *text,
                          size_t len, bool std)
{
    Module *m = arena_new(&s->arena, Module);
    uint32_t errors = s->diags.errors;
    m->path = arena_strdup(&s->arena, path);
    m->std = std;
    m->index = s->modules.len;
    m->loading = true;
    vec_push(&s->arena, &s->modules, m);
    m->ast = parse_file(&s->arena, s->intern, &s->diags, &s->sources,
                        source_add(&s->sources, shown, text, len));
    bool parsed = s->diags.errors == errors;
    declare_allows(s, m);
    warn_bidi(s, m->ast->src);
    collect(s, m);
    load_imports(s, m);
    m->loading = false;
    /* What a syntax error or a lost import hid, here or there, would only be reported as undefined.
     */
    for (uint32_t i = 0; i < m->imports.len; i++) {
        const Module *in = m->imports.at[i].module;
        parsed = parsed && in != NULL && !in->partial;
        m->broken = m->broken || in == NULL || in->broken;
    }
    m->partial = !parsed;
    if (parsed)
        module_check(s, m);
    m->broken = m->broken || m->partial || s->diags.errors != errors;
    return m;
}

static Module *cycle(Session *s, Module *m, Span at)
{
    if (!m->loading)
        return m;
    diag(&s->diags, E_IMPORT_CYCLE, at, source_get(&s->sources, m->ast->src)->path);
    return NULL;
}

static void missing(Session *s, Span at, const char *what, const char *why)
{
    if (strncmp(why, "out of memory", 13) == 0)
        arena_give_up(&s->arena, 0);
    if (at.src == 0)
        diag(&s->diags, E_FILE, at, what, why);
    else
        diag(&s->diags, E_IMPORT_MISSING, at, what, why);
}

Module *module_load_file(Session *s, const char *path, Span at)
{
    const char *err, *name = path;
    size_t len;
    errno = 0;
    char *real = strcmp(path, "-") == 0 ? NULL : realpath(path, NULL);
    if (real == NULL && errno == ENOMEM)
        arena_give_up(&s->arena, 0);
    if (real != NULL) {
        name = arena_strdup(&s->arena, real);
        free(real);
    }
    if (at.src == 0)
        tree_root(s, path);
    Module *m = find_module(s, name);
    if (m != NULL)
        return cycle(s, m, at);
    if (s->modules.len >= MODULE_LIMIT || stack_low()) { /* one imports the other */
        missing(s, at, path, "there are too many modules");
        return NULL;
    }
    for (size_t i = 0; i < s->overlay_count; i++)
        if (strcmp(s->overlays[i].path, name) == 0)
            return add_module(s, name, path, s->overlays[i].text, s->overlays[i].len, false);
    char *text = fs_read(path, SOURCE_BYTES, &len, &err);
    if (text == NULL && len > SOURCE_BYTES) {
        diag(&s->diags, E_FILE_TOO_LARGE, at, path, (long)SOURCE_BYTES);
        return NULL;
    }
    if (text == NULL) {
        missing(s, at, path, err);
        return NULL;
    }
    const char *copy = arena_strndup(&s->arena, text, len);
    free(text);
    return add_module(s, name, strcmp(path, "-") == 0 ? "<stdin>" : path, copy, len, false);
}

static void unknown_std(Session *s, const char *name, Span at)
{
    const char **names = arena_new_n(&s->arena, const char *, cnnc_std_file_count);
    for (unsigned i = 0; i < cnnc_std_file_count; i++)
        names[i] = arena_strndup(&s->arena, cnnc_std_files[i].name,
                                 strlen(cnnc_std_files[i].name) - strlen(".cnn"));
    uint32_t d = diag(&s->diags, E_IMPORT_MISSING, at, arena_printf(&s->arena, "std.%s", name),
                      "the library has no such module");
    Span last = {at.src, at.src != 0 ? at.hi - (uint32_t)strlen(name) : 0, at.hi};
    diag_nearest(&s->diags, d, last, name, names, cnnc_std_file_count);
}

Module *module_load_std(Session *s, const char *name, Span at)
{
    const char *file = arena_printf(&s->arena, "%s.cnn", name);
    const char *path = arena_printf(&s->arena, "std/%s", file);
    Module *m = find_module(s, path);
    if (m != NULL)
        return cycle(s, m, at);
    if (s->std_path != NULL) {
        const char *err, *shown = arena_printf(&s->arena, "%s/%s", s->std_path, file);
        size_t len;
        char *text = fs_read(shown, SOURCE_BYTES, &len, &err);
        if (text != NULL) {
            const char *copy = arena_strndup(&s->arena, text, len);
            free(text);
            return add_module(s, path, shown, copy, len, true);
        }
    }
    for (unsigned i = 0; i < cnnc_std_file_count; i++)
        if (strcmp(cnnc_std_files[i].name, file) == 0)
            return add_module(s, path, arena_printf(&s->arena, "<%s>", path),
                              (const char *)cnnc_std_files[i].text, cnnc_std_files[i].len, true);
    unknown_std(s, name, at);
    return NULL;
}

static Module *load_quoted(Session *s, const Module *from, const char *path, Span at)
{
    const Source *src = source_get(&s->sources, from->ast->src);
    const char *slash = strrchr(src->path, '/'), *opened = path;
    if (*path != '/' && slash != NULL && !(from->std && s->std_path == NULL))
        opened = arena_printf(&s->arena, "%.*s/%s", (int)(slash - src->path), src->path, path);
    if (!tree_holds(s, from, src->path, path, opened)) {
        uint32_t d = diag(&s->diags, E_IMPORT_OUTSIDE, at, path);
        diag_help(&s->diags, d, SPAN_NONE,
                  "imports stay below the folder of the file that is checked, or below the working "
                  "directory where that holds it: run cnnc in a folder that holds both");
        return NULL;
    }
    return module_load_file(s, opened, at);
}

/* The alias of an import may be no declaration, no imported name and no other alias. */
static void check_alias(Session *s, const Module *m, const Import *in)
{
    const Decl *other = module_decl(m, in->alias);
    if (other != NULL) {
        uint32_t d = diag(&s->diags, E_REDEFINED, other->span, other->name);
        diag_note(&s->diags, d, in->span, "the module is imported under that name here");
        return;
    }
    for (const Import *k = m->imports.at; k != in && other == NULL; k++) {
        if (k->alias == NULL && k->module != NULL)
            other = module_decl(k->module, in->alias);
        if (k->alias != in->alias && other == NULL)
            continue;
        uint32_t d = diag(&s->diags, E_REDEFINED, in->span, in->alias);
        diag_note(&s->diags, d, other != NULL ? other->span : k->span, "the other '%s' is here",
                  in->alias);
        return;
    }
}

/* A name that is visible without prefix may not come from two places. */
static void check_import(Session *s, const Module *m, const Import *in)
{
    if (in->alias != NULL) {
        check_alias(s, m, in);
        return;
    }
    for (const Import *k = m->imports.at; k != in; k++) {
        const Decl *theirs = k->alias != NULL ? module_decl(in->module, k->alias) : NULL;
        if (theirs == NULL)
            continue;
        uint32_t d = diag(&s->diags, E_REDEFINED, in->span, theirs->name);
        diag_note(&s->diags, d, k->span, "a module is imported under that name here");
    }
    for (uint32_t i = 0; i < in->module->decls.len; i++) {
        const Decl *theirs = &in->module->decls.at[i], *other = module_decl(m, theirs->name);
        for (uint32_t k = 0; other == NULL && &m->imports.at[k] != in; k++)
            if (m->imports.at[k].alias == NULL && m->imports.at[k].module != NULL &&
                m->imports.at[k].module != in->module)
                other = module_decl(m->imports.at[k].module, theirs->name);
        if (other == NULL)
            continue;
        Span at = module_decl(m, theirs->name) != NULL ? other->span : in->span;
        uint32_t d = diag(&s->diags, E_REDEFINED, at, theirs->name);
        diag_note(&s->diags, d, theirs->span, "the other '%s' is imported from here", theirs->name);
        diag_help(&s->diags, d, in->span, "import the module under a name: 'as m'");
    }
}

/* A module of the library without its `std.`, or a file without its quotes. */
static void unknown_module(Session *s, const AstNode *n)
{
    const char *dot = strchr(n->sym, '.');
    uint32_t d = diag(&s->diags, E_IMPORT_MISSING, n->span, n->sym, "no such module");
    for (unsigned i = 0; dot == NULL && i < cnnc_std_file_count; i++)
        if (strncmp(cnnc_std_files[i].name, n->sym, strlen(n->sym)) == 0 &&
            strcmp(cnnc_std_files[i].name + strlen(n->sym), ".cnn") == 0) {
            diag_fix(&s->diags, d, n->name_span, arena_printf(&s->arena, "std.%s", n->sym),
                     "it is a module of the library");
            return;
        }
    if (dot != NULL && strcmp(dot, ".cnn") == 0)
        diag_fix(&s->diags, d, n->name_span, arena_printf(&s->arena, "\"%s\"", n->sym),
                 "files are written as texts");
    else
        diag_help(&s->diags, d, SPAN_NONE,
                  "library modules are written 'std.name', files \"path/to.cnn\"");
}

static void load_imports(Session *s, Module *m)
{
    for (uint32_t i = 0; i < kid_count(m, m->ast->root); i++) {
        const AstNode *n = node_at(m, kid_at(m, m->ast->root, i));
        if (n->kind != AST_IMPORT)
            continue;
        Import in = {.alias = n->sym2, .written = n->sym, .span = n->span};
        if (m->imports.len == IMPORT_LIMIT) { /* each is compared with those before it */
            missing(s, n->span, n->sym, "there are too many imports");
            return;
        }
        if (*n->sym == '\0') {
            if (!diag_failed(&s->diags)) /* else it is an unclosed text, reported */
                missing(s, n->span, "\"\"", "the path is empty");
            continue;
        }
        if (s->modules.len > MODULE_LIMIT)
            missing(s, n->span, n->sym, "there are too many modules");
        else if (n->flags & AF_QUOTED)
            in.module = load_quoted(s, m, n->sym, n->span);
        else if (strncmp(n->sym, "std.", 4) == 0 && strchr(n->sym + 4, '.') == NULL)
            in.module = module_load_std(s, n->sym + 4, n->name_span);
        else {
            unknown_module(s, n);
        }
        /* the arrays of modules may have moved: m itself has not */
        vec_push(&s->arena, &m->imports, in);
        uint32_t errors = s->diags.errors;
        if (in.module != NULL)
            check_import(s, m, &vec_last(&m->imports));
        vec_last(&m->imports).used = s->diags.errors != errors; /* one complaint is enough */
    }
}
