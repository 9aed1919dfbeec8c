/* Nets by name: of a file, of the library. */
#include "elab/elaborator.h"
#include "sema/stdlib_data.h"
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

typedef VEC(NetRef) NetList;

static bool is_net(const Module *m, AstId n)
{
    return node_at(m, n)->kind == AST_NET || node_at(m, n)->kind == AST_NETALIAS;
}

/* Whether a net needs nothing from outside: own parameters have defaults, and through aliases. */
static bool is_concrete(Session *s, const Module *m, AstId decl, int depth)
{
    Signature sig = signature_of_decl(&s->arena, m, decl);
    for (uint32_t i = 0; i < sig.count; i++)
        if (sig.formals[i].required)
            return false;
    if (node_at(m, decl)->kind == AST_NET)
        return true;
    AstId value = kid_at(m, decl, 2);
    bool call = node_at(m, value)->kind == AST_CALL, is_alias;
    AstId callee = call ? kid_at(m, value, 0) : value;
    const AstNode *c = node_at(m, callee);
    Ref r = {0};
    if (c->kind == AST_NAME)
        r = module_lookup(m, c->sym);
    else if (c->kind == AST_FIELD && node_at(m, kid_at(m, callee, 0))->kind == AST_NAME)
        r = module_lookup_in(m, node_at(m, kid_at(m, callee, 0))->sym, c->sym, &is_alias);
    if (r.kind != REF_DECL || !is_net(r.module, r.node) || depth > 64)
        return true; /* to be reported when it is elaborated */
    if (!call)
        return is_concrete(s, r.module, r.node, depth + 1);
    Signature target = signature_of_decl(&s->arena, r.module, r.node);
    int32_t *slot = arena_new_n(&s->arena, int32_t, target.count + 1);
    uint32_t mark = s->diags.all.len;
    bool ok = args_bind(s, m, &target, kid_at(m, value, 1), 0, slot);
    diag_rewind(&s->diags, mark);
    for (uint32_t i = 0; ok && i < target.count; i++)
        if (target.formals[i].required && slot[i] < 0)
            return false;
    return true;
}

static NetRef net_ref(Session *s, const Module *m, const Decl *d)
{
    return (NetRef){m->index, d->node, d->name, is_concrete(s, m, d->node, 0)};
}

static void list_nets(Session *s, const Module *m, NetList *out)
{
    for (uint32_t i = 0; i < m->decls.len; i++)
        if (is_net(m, m->decls.at[i].node))
            vec_push(&s->arena, out, net_ref(s, m, &m->decls.at[i]));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of the library's modules: the embedded ones and those of CNNC_PATH. */
static uint32_t std_modules(Session *s, const char ***out)
{
    VEC(const char *) names = {0};
    for (unsigned i = 0; i < cnnc_std_file_count; i++)
        vec_push(&s->arena, &names,
                 arena_strndup(&s->arena, cnnc_std_files[i].name,
                               strlen(cnnc_std_files[i].name) - strlen(".cnn")));
    DIR *dir = s->std_path != NULL ? opendir(s->std_path) : NULL;
    for (struct dirent *d; dir != NULL && (d = readdir(dir)) != NULL;) {
        size_t n = strlen(d->d_name);
        if (n <= 4 || strcmp(d->d_name + n - 4, ".cnn") != 0)
            continue;
        const char *name = arena_strndup(&s->arena, d->d_name, n - 4);
        uint32_t k = 0;
        while (k < names.len && strcmp(names.at[k], name) != 0)
            k++;
        if (k == names.len)
            vec_push(&s->arena, &names, name);
    }
    if (dir != NULL)
        closedir(dir);
    if (names.len > 0)
        qsort(names.at, names.len, sizeof *names.at, by_text);
    *out = names.at;
    return names.len;
}

/* The embedded module whose text says `net NAME`, so that a name costs one module, not all. */
static const char *likely_module(Session *s, const char *net)
{
    const char *words = arena_printf(&s->arena, "net %s", net);
    size_t n = strlen(words);
    for (unsigned i = 0; i < cnnc_std_file_count && s->std_path == NULL; i++) {
        const char *text = (const char *)cnnc_std_files[i].text, *at = text;
        while ((at = strstr(at, words)) != NULL) {
            char next = at[n];
            at += n;
            if (next == ' ' || next == '(' || next == '{' || next == '=' || next == '\n')
                return arena_strndup(&s->arena, cnnc_std_files[i].name,
                                     strlen(cnnc_std_files[i].name) - strlen(".cnn"));
        }
    }
    return NULL;
}

static bool ends_in_cnn(const char *s)
{
    size_t n = strlen(s);
    return (n > 4 && strcmp(s + n - 4, ".cnn") == 0) || strcmp(s, "-") == 0;
}

static void no_such_net(Session *s, const char *name, const NetList *known)
{
    const char **names = arena_new_n(&s->arena, const char *, known->len + 1);
    size_t n = 0;
    for (uint32_t i = 0; i < known->len; i++)
        if (known->at[i].concrete)
            names[n++] = known->at[i].name;
    uint32_t d = diag(&s->diags, E_NO_SUCH_NET, SPAN_NONE, name, "");
    const char *near = intern_nearest(name, names, n);
    if (near != NULL)
        diag_help(&s->diags, d, SPAN_NONE, "did you mean '%s'?", near);
    else
        diag_help(&s->diags, d, SPAN_NONE, "'cnnc nets' lists the nets of the library");
}

static bool find_in_file(Session *s, const char *file, const char *net, NetRef *out)
{
    NetList nets = {0};
    Module *m = module_load_file(s, file, SPAN_NONE);
    if (m == NULL || m->broken)
        return false;
    list_nets(s, m, &nets);
    bool found = false;
    for (uint32_t i = 0; i < nets.len; i++)
        if (net != NULL ? strcmp(nets.at[i].name, net) == 0 : nets.at[i].concrete || !found) {
            *out = nets.at[i];
            found = true;
        }
    if (found)
        return true;
    if (net != NULL)
        no_such_net(s, net, &nets);
    else
        diag(&s->diags, E_NO_SUCH_NET, SPAN_NONE, file, ": the file declares none");
    return false;
}

static bool find_in_std(Session *s, const char *name, NetRef *out)
{
    NetList nets = {0};
    const char *likely = likely_module(s, name), **names;
    uint32_t n = likely != NULL ? 1 : std_modules(s, &names);
    for (uint32_t i = 0; i < n; i++) {
        Module *m = module_load_std(s, likely != NULL ? likely : names[i], SPAN_NONE);
        if (m == NULL || m->broken)
            return false;
        list_nets(s, m, &nets);
    }
    for (uint32_t i = 0; i < nets.len; i++)
        if (strcmp(nets.at[i].name, name) == 0) {
            *out = nets.at[i];
            return true;
        }
    no_such_net(s, name, &nets);
    return false;
}

bool elab_find(Session *s, const char *spec, NetRef *out)
{
    const char *colon = strrchr(spec, ':');
    if (ends_in_cnn(spec))
        return find_in_file(s, spec, NULL, out);
    if (colon != NULL && colon > spec) {
        const char *file = arena_strndup(&s->arena, spec, (size_t)(colon - spec));
        return find_in_file(s, file, colon + 1, out);
    }
    return find_in_std(s, spec, out);
}

uint32_t elab_nets(Session *s, const char *file_or_std, NetRef **out)
{
    NetList nets = {0};
    Module *m = ends_in_cnn(file_or_std) ? module_load_file(s, file_or_std, SPAN_NONE)
                                         : module_load_std(s, file_or_std, SPAN_NONE);
    *out = NULL;
    if (m == NULL || m->broken)
        return 0;
    list_nets(s, m, &nets);
    *out = nets.at;
    return nets.len;
}

uint32_t elab_std_nets(Session *s, NetRef **out)
{
    NetList nets = {0};
    const char **names;
    uint32_t n = std_modules(s, &names);
    for (uint32_t i = 0; i < n; i++) {
        Module *m = module_load_std(s, names[i], SPAN_NONE);
        if (m != NULL && !m->broken)
            list_nets(s, m, &nets);
    }
    *out = nets.at;
    return nets.len;
}
