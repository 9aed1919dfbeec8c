/* The text form of graphs: reading. A strict line-by-line scanner: input is untrusted. */
#include "ir/graph.h"
#include <stdlib.h>
#include <string.h>

typedef struct Reader {
    Graph *g;
    const char *at, *end; /* of the rest of the text */
    uint32_t line;
    const char *err;
} Reader;

static bool fail(Reader *r, const char *what)
{
    if (r->err == NULL)
        r->err = arena_printf(r->g->arena, "line %u: %s", r->line, what);
    return false;
}

static bool peek(const Reader *r, const char *word)
{
    size_t n = strlen(word);
    return (size_t)(r->end - r->at) >= n && memcmp(r->at, word, n) == 0;
}

static bool take(Reader *r, const char *word)
{
    if (!peek(r, word))
        return false;
    r->at += strlen(word);
    return true;
}

static bool expect(Reader *r, const char *word)
{
    return take(r, word) || fail(r, arena_printf(r->g->arena, "expected '%s'", word));
}

static bool read_int(Reader *r, int64_t *out)
{
    int64_t v = 0;
    bool negative = take(r, "-");
    const char *start = r->at;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *r->at - '0', &v))
            return fail(r, "number too large");
    *out = negative ? -v : v;
    return r->at > start || fail(r, "expected a number");
}

static bool read_real(Reader *r, double *out)
{
    char text[64];
    size_t n = 0;
    while (r->at < r->end && n + 1 < sizeof text && *r->at != 0 &&
           strchr("+-.0123456789eE", *r->at) != NULL)
        text[n++] = *r->at++;
    text[n] = 0;
    char *stop;
    *out = strtod(text, &stop);
    return (n > 0 && *stop == 0) || fail(r, "expected a number");
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_string(Reader *r, const char **out)
{
    if (!expect(r, "\""))
        return false;
    size_t cap = 0;
    while (r->at + cap < r->end && r->at[cap] != '\n')
        cap++;
    char *s = arena_alloc(r->g->arena, cap + 1);
    size_t n = 0;
    for (; r->at < r->end && *r->at != '"' && *r->at != '\n'; r->at++) {
        if (*r->at == 0)
            return fail(r, "NUL byte in a name");
        if (*r->at != '\\') {
            s[n++] = *r->at;
        } else if (r->end - r->at > 3 && r->at[1] == 'x' && hex_digit(r->at[2]) >= 0 &&
                   hex_digit(r->at[3]) >= 0 && (r->at[2] != '0' || r->at[3] != '0')) {
            s[n++] = (char)(hex_digit(r->at[2]) * 16 + hex_digit(r->at[3]));
            r->at += 3;
        } else if (r->end - r->at > 1 && (r->at[1] == '"' || r->at[1] == '\\')) {
            s[n++] = *++r->at;
        } else {
            return fail(r, "unknown escape");
        }
    }
    *out = s;
    return expect(r, "\"");
}

static bool read_node_ref(Reader *r, NodeId *out)
{
    int64_t v;
    if (!expect(r, "%") || !read_int(r, &v))
        return false;
    if (v <= 0 || v >= r->g->nodes.len)
        return fail(r, "no such node");
    out->v = (uint32_t)v;
    return true;
}

static bool read_pad(Reader *r, Pad *out)
{
    *out = (Pad){0};
    if (take(r, "same_upper"))
        out->kind = PAD_SAME_UP;
    else if (take(r, "same"))
        out->kind = PAD_SAME_SYM;
    else
        return read_int(r, &out->top) && expect(r, ",") && read_int(r, &out->bottom) &&
               expect(r, ",") && read_int(r, &out->left) && expect(r, ",") &&
               read_int(r, &out->right);
    return true;
}

static bool read_attr(Reader *r, AttrType type, AttrVal *v)
{
    *v = (AttrVal){.type = type};
    switch (type) {
    case ATTR_INT: return read_int(r, &v->i);
    case ATTR_BOOL: v->i = take(r, "true"); return v->i || expect(r, "false");
    case ATTR_REAL: return read_real(r, &v->r);
    case ATTR_SIZE: return read_int(r, &v->size.h) && expect(r, "x") && read_int(r, &v->size.w);
    case ATTR_PAD: return read_pad(r, &v->pad);
    case ATTR_STR: return read_string(r, &v->str);
    }
    return fail(r, "unknown attribute type");
}

static const char *read_word(Reader *r)
{
    const char *start = r->at;
    while (r->at < r->end && ((*r->at >= 'a' && *r->at <= 'z') || *r->at == '_' ||
                              (r->at > start && *r->at >= '0' && *r->at <= '9')))
        r->at++;
    return arena_strndup(r->g->arena, start, (size_t)(r->at - start));
}

static bool read_attrs(Reader *r, Op op, AttrVal *attrs)
{
    const OpInfo *info = &op_info[op];
    bool given[OP_MAX_ATTRS] = {false};
    for (int i = 0; i < info->attr_count; i++)
        attrs[i] = info->attrs[i].def;
    while (!peek(r, " : ")) {
        if (!expect(r, " "))
            return false;
        int i = op_attr_index(op, read_word(r));
        if (i < 0 || given[i])
            return fail(r, i < 0 ? "unknown attribute" : "attribute given twice");
        given[i] = true;
        if (!expect(r, "=") || !read_attr(r, info->attrs[i].type, &attrs[i]))
            return false;
    }
    for (int i = 0; i < info->attr_count; i++)
        if (info->attrs[i].required && !given[i])
            return fail(r, "a required attribute is missing");
    return true;
}

static bool read_node(Reader *r)
{
    int64_t id;
    if (!expect(r, "%") || !read_int(r, &id))
        return false;
    if (id != r->g->nodes.len)
        return fail(r, "nodes must be numbered in order");
    if (!expect(r, " = "))
        return false;
    const char *word = read_word(r);
    Op op = op_by_any_name(word);
    if (op == OP_NONE)
        return fail(r, "unknown operator");
    VEC(NodeId) ins = {0};
    if (!expect(r, "("))
        return false;
    while (!peek(r, ")")) {
        NodeId in;
        if ((ins.len > 0 && !expect(r, ", ")) || !read_node_ref(r, &in))
            return false;
        vec_push(r->g->arena, &ins, in);
    }
    AttrVal attrs[OP_MAX_ATTRS];
    const char *name;
    if (!expect(r, ")") || !read_attrs(r, op, attrs) || !expect(r, " : ") || !read_string(r, &name))
        return false;
    graph_add(r->g, op, attrs, ins.at, ins.len, name, 0);
    return true;
}

static bool read_four(Reader *r, double v[4])
{
    for (int i = 0; i < 4; i++)
        if ((i > 0 && !expect(r, ",")) || !read_real(r, &v[i]))
            return false;
    return true;
}

static bool read_input(Reader *r)
{
    GraphInput in = {0};
    if (!read_string(r, &in.name) || !expect(r, " ") || !read_node_ref(r, &in.node))
        return false;
    if ((take(r, " resize=") && !read_int(r, &in.resize)) ||
        (take(r, " crop=") && !read_int(r, &in.crop)))
        return false;
    if (take(r, " mean=")) {
        in.has_norm = true;
        if (!read_four(r, in.mean) || !expect(r, " std=") || !read_four(r, in.std))
            return false;
    }
    vec_push(r->g->arena, &r->g->ins, in);
    return true;
}

static bool read_output(Reader *r)
{
    GraphOutput o = {0};
    if (!read_string(r, &o.name) || !expect(r, " ") || !read_node_ref(r, &o.node) ||
        !expect(r, " from ") || !read_node_ref(r, &o.source))
        return false;
    o.primary = take(r, " primary");
    vec_push(r->g->arena, &r->g->outs, o);
    return true;
}

const char *graph_read(Graph *g, Arena *a, const char *text, size_t len)
{
    graph_init(g, a, "");
    Reader r = {.g = g, .at = text, .end = text + len, .line = 1};
    if (expect(&r, "graph ") && read_string(&r, &g->name))
        expect(&r, "\n");
    while (r.err == NULL && r.at < r.end) {
        r.line++;
        bool ok = peek(&r, "%")      ? read_node(&r)
                  : take(&r, "in ")  ? read_input(&r)
                  : take(&r, "out ") ? read_output(&r)
                                     : fail(&r, "expected a node, an input or an output");
        if (ok)
            expect(&r, "\n");
    }
    return r.err != NULL ? r.err : graph_verify(g);
}
