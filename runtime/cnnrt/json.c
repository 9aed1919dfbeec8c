#include "json.h"
#include <string.h>

typedef struct Check {
    const char *start, *at, *end;
    int depth;
    size_t marks;
    const char *why;
    CnnrtJsonFault fault;
} Check;

static int fail(Check *c, CnnrtJsonFault fault, const char *why)
{
    c->fault = fault;
    c->why = why;
    return 0;
}

static int invalid(Check *c, const char *why)
{
    return fail(c, CNNRT_JSON_INVALID, c->at >= c->end ? "the text ends too early" : why);
}

static const char *skip_blank(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

/* Steps over `want` after blanks. */
static int take(Check *c, char want)
{
    c->at = skip_blank(c->at, c->end);
    if (c->at >= c->end || *c->at != want)
        return 0;
    c->at++;
    return 1;
}

static int hex_value(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The four digits after \u; -1 when they are none. */
static long hex4(const char *at, const char *end)
{
    long v = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int h = hex_value(at[i]);
        if (h < 0)
            return -1;
        v = v * 16 + h;
    }
    return v;
}

/* Bytes of a well-formed character (RFC 3629); 0 when there is none. */
static int utf8_bytes(const char *at, const char *end)
{
    const unsigned char *s = (const unsigned char *)at;
    int n = s[0] < 0x80         ? 1
            : (s[0] >> 5) == 6  ? 2
            : (s[0] >> 4) == 14 ? 3
            : (s[0] >> 3) == 30 ? 4
                                : 0;
    if (n == 0 || n > end - at)
        return 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xC0) != 0x80)
            return 0;
    if ((n == 2 && s[0] < 0xC2) || (n == 3 && s[0] == 0xE0 && s[1] < 0xA0) ||
        (n == 3 && s[0] == 0xED && s[1] > 0x9F) || (n == 4 && s[0] == 0xF0 && s[1] < 0x90) ||
        (n == 4 && (s[0] > 0xF4 || (s[0] == 0xF4 && s[1] > 0x8F))))
        return 0;
    return n;
}

static int check_escape(Check *c)
{
    char e = c->at + 1 < c->end ? c->at[1] : '\0';
    if (e != 'u') {
        if (e == '\0' || strchr("\"\\/bfnrt", e) == NULL)
            return invalid(c, "an unknown escape");
        c->at += 2;
        return 1;
    }
    long v = hex4(c->at + 2, c->end);
    if (v < 0)
        return invalid(c, "\\u without four digits");
    if (v == 0)
        return invalid(c, "a NUL in a string");
    if (v >= 0xDC00 && v <= 0xDFFF)
        return invalid(c, "half of a surrogate pair");
    if (v >= 0xD800 && v <= 0xDBFF) {
        long low = c->end - c->at >= 12 && c->at[6] == '\\' && c->at[7] == 'u'
                       ? hex4(c->at + 8, c->end)
                       : -1;
        if (low < 0xDC00 || low > 0xDFFF)
            return invalid(c, "half of a surrogate pair");
        c->at += 6;
    }
    c->at += 6;
    return 1;
}

static int check_string(Check *c)
{
    if (!take(c, '"'))
        return invalid(c, "a string is expected");
    while (c->at < c->end && *c->at != '"') {
        if (*c->at == '\\') {
            if (!check_escape(c))
                return 0;
            continue;
        }
        int n = (unsigned char)*c->at < 0x20 ? 0 : utf8_bytes(c->at, c->end);
        if (n == 0)
            return invalid(c, (unsigned char)*c->at < 0x20 ? "a control character in a string"
                                                           : "a string that is not UTF-8");
        c->at += n;
    }
    if (c->at >= c->end)
        return invalid(c, "");
    c->at++;
    return 1;
}

static int digits(Check *c)
{
    const char *start = c->at;
    while (c->at < c->end && *c->at >= '0' && *c->at <= '9')
        c->at++;
    return c->at > start;
}

/* The digits from start to at as an int64; 0 when they make a larger number. */
static int to_int64(const char *start, const char *at, int64_t *v)
{
    int negative = *start == '-';
    *v = 0;
    for (const char *p = start + negative; p < at; p++) {
        int64_t digit = negative ? -(int64_t)(*p - '0') : (int64_t)(*p - '0');
        if (__builtin_mul_overflow(*v, (int64_t)10, v) || __builtin_add_overflow(*v, digit, v))
            return 0;
    }
    return 1;
}

static int check_number(Check *c)
{
    const char *start = c->at;
    int64_t v;
    int whole = 1;
    if (*c->at == '-')
        c->at++;
    if (c->at < c->end && *c->at == '0')
        c->at++;
    else if (!digits(c))
        return invalid(c, "a value is expected");
    const char *end = c->at;
    if (c->at < c->end && *c->at == '.') {
        whole = 0;
        c->at++;
        if (!digits(c))
            return invalid(c, "a number without digits after its point");
    }
    if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
        whole = 0;
        c->at++;
        if (c->at < c->end && (*c->at == '+' || *c->at == '-'))
            c->at++;
        if (!digits(c))
            return invalid(c, "a number without an exponent after its e");
    }
    if (whole && !to_int64(start, end, &v)) {
        c->at = start;
        return invalid(c, "an integer that is too large");
    }
    return 1;
}

static int check_word(Check *c)
{
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(c->end - c->at) >= n && memcmp(c->at, words[i], n) == 0) {
            c->at += n;
            return 1;
        }
    }
    return invalid(c, "a value is expected");
}

static int count_mark(Check *c)
{
    if (c->marks == 0)
        return fail(c, CNNRT_JSON_MANY, "too many values");
    c->marks--;
    return 1;
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as c->depth allows */
static int check_value(Check *c)
{
    c->at = skip_blank(c->at, c->end);
    if (c->at >= c->end)
        return invalid(c, "");
    char open = *c->at;
    if (open == '"')
        return check_string(c);
    if (open == '-' || (open >= '0' && open <= '9'))
        return check_number(c);
    if (open != '{' && open != '[')
        return check_word(c);
    char close = open == '{' ? '}' : ']';
    if (c->depth == 0)
        return fail(c, CNNRT_JSON_DEEP, "too deep");
    if (!count_mark(c))
        return 0;
    c->depth--;
    c->at++;
    if (!take(c, close)) {
        do {
            if (open == '{' && (!check_string(c) || (!take(c, ':') && !invalid(c, "no colon"))))
                return 0;
            if (!check_value(c))
                return 0;
            if (take(c, close))
                break;
            if (!take(c, ','))
                return invalid(c, "a comma or a closing bracket is expected");
            if (!count_mark(c))
                return 0;
        } while (1);
    }
    c->depth++;
    return 1;
}

CnnrtJsonFault cnnrt_json_check(const char *text, size_t n, int depth, size_t marks, size_t *where,
                                const char **why)
{
    Check c = {.start = text, .at = text, .end = text + n, .depth = depth, .marks = marks};
    if (check_value(&c)) {
        c.at = skip_blank(c.at, c.end);
        if (c.at < c.end)
            invalid(&c, "something follows the value");
    }
    *where = (size_t)(c.at - c.start);
    *why = c.why;
    return c.fault;
}

char cnnrt_json_kind(CnnrtJson *c)
{
    c->at = skip_blank(c->at, c->end);
    return *c->at == '-' || (*c->at >= '0' && *c->at <= '9') ? '0' : *c->at;
}

void cnnrt_json_enter(CnnrtJson *c)
{
    c->at = skip_blank(c->at, c->end) + 1;
}

int cnnrt_json_more(CnnrtJson *c)
{
    c->at = skip_blank(c->at, c->end);
    if (*c->at == ',')
        c->at++;
    else if (*c->at == '}' || *c->at == ']') {
        c->at++;
        return 0;
    }
    return 1;
}

static size_t put_code(char *out, uint32_t v)
{
    if (v < 0x80) {
        out[0] = (char)v;
        return 1;
    }
    size_t n = v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--, v >>= 6)
        out[i] = (char)(0x80 | (v & 0x3F));
    out[0] = (char)(lead[n] | v);
    return n;
}

size_t cnnrt_json_string(CnnrtJson *c, char *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    size_t len = 0;
    c->at = skip_blank(c->at, c->end) + 1;
    while (*c->at != '"') {
        char code[4] = {*c->at++};
        size_t n = 1;
        if (code[0] == '\\') {
            char e = *c->at++;
            const char *plain = strchr(from, e);
            code[0] = plain != NULL ? to[plain - from] : e;
            if (e == 'u') {
                uint32_t v = (uint32_t)hex4(c->at, c->end);
                c->at += 4;
                if (v >= 0xD800 && v <= 0xDBFF) {
                    v = 0x10000 + ((v & 0x3FF) << 10) + ((uint32_t)hex4(c->at + 2, c->end) & 0x3FF);
                    c->at += 6;
                }
                n = put_code(code, v);
            }
        }
        if (out != NULL)
            memcpy(out + len, code, n);
        len += n;
    }
    c->at++;
    if (out != NULL)
        out[len] = '\0';
    return len;
}

size_t cnnrt_json_key(CnnrtJson *c, char *out)
{
    size_t n = cnnrt_json_string(c, out);
    c->at = skip_blank(c->at, c->end) + 1;
    return n;
}

int cnnrt_json_integer(CnnrtJson *c, int64_t *v)
{
    int number = cnnrt_json_kind(c) == '0';
    const char *start = c->at;
    cnnrt_json_skip(c);
    for (const char *p = start + 1; number && p < c->at; p++)
        number = *p >= '0' && *p <= '9';
    return number && to_int64(start, c->at, v);
}

void cnnrt_json_skip(CnnrtJson *c)
{
    size_t depth = 0;
    do {
        c->at = skip_blank(c->at, c->end);
        char k = *c->at;
        if (k == '"') {
            cnnrt_json_string(c, NULL);
        } else if (k == '{' || k == '[') {
            depth++;
            c->at++;
        } else if (k == '}' || k == ']') {
            depth--;
            c->at++;
        } else if (k == ',' || k == ':') {
            c->at++;
        } else {
            while (c->at < c->end && strchr(" \n\t\r,]}", *c->at) == NULL)
                c->at++;
        }
    } while (depth > 0);
}
