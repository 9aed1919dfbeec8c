/* The printer of documents and its columns, on documents written as text:
 *   abc   a text; 40 stands for one of forty letters      ,  an empty line before the next text
 *   _  a space        ~  a line end or a blank     ^  a line end or nothing      $  a line end
 *   ( )  a group      [ ]  of an equals sign       { }  of one that may hug      t T  with a tail
 *   < >  indentation  d D  the same when broken    *  the group that begins next is broken
 *   #c   a comment    !c  one on its own line      %k  a column with the key k   =  one of pairs */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "format/doc.h"

enum { DEPTH = 16 };

static OomHandler oom;
static Arena arena;
static Doc doc;
static bool blank, broken;
static uint32_t open[DEPTH], depth;

static DocItem *push(DocKind kind)
{
    vec_push(&arena, &doc, ((DocItem){.kind = kind}));
    return &doc.at[doc.len - 1];
}

static bool part_of_word(char c)
{
    return isalnum((unsigned char)c) ? strchr("dDtT", c) == NULL : (unsigned char)c >= 0x80;
}

static const char *word(DocKind kind, const char *s)
{
    static const char letters[] = "abcefghijklmnopqrsuvwxyzabcefghijklmnopqrsuvwxyz"
                                  "abcefghijklmnopqrsuvwxyzabcefghijklmnopqrsuvwxyz"
                                  "abcefghijklmnopqrsuvwxyz";
    DocItem *x = push(kind);
    x->at = s;
    while (part_of_word(*s))
        s++;
    x->len = (uint32_t)(s - x->at);
    if (isdigit((unsigned char)*x->at)) {
        x->len = (uint32_t)strtol(x->at, NULL, 10);
        assert_true(x->len < sizeof letters);
        x->at = letters;
    }
    x->blank_before = blank;
    blank = false;
    return s;
}

static void group(char c)
{
    static const char begins[] = "([{t";
    const char *kind = strchr(begins, c);
    if (kind != NULL) {
        assert_true(depth < DEPTH);
        open[depth++] = doc.len;
        DocItem *x = push(DOC_BEGIN);
        x->group = (DocGroup)(kind - begins);
        x->broken = broken;
        broken = false;
        return;
    }
    assert_true(depth > 0);
    doc.at[open[--depth]].end = doc.len;
    push(DOC_END);
}

static const char *mark(const char *s)
{
    DocItem *x = push(DOC_MARK);
    x->mark = *s == '=' ? MARK_PAIR : MARK_STAR;
    x->key = *s == '%' ? (uint32_t)(unsigned char)s[1] : 0;
    return s + (*s == '%' ? 2 : 1);
}

static void read_doc(const char *s)
{
    static const char signs[] = "_~^$<>dD";
    static const DocKind kinds[] = {DOC_SPACE, DOC_LINE, DOC_SOFT,      DOC_HARD,
                                    DOC_IN,    DOC_OUT,  DOC_IN_BROKEN, DOC_OUT_BROKEN};
    doc.len = depth = 0;
    blank = broken = false;
    while (*s != '\0') {
        if (part_of_word(*s)) {
            s = word(DOC_TEXT, s);
        } else if (*s == '#' || *s == '!') {
            s = word(*s == '#' ? DOC_COMMENT : DOC_OWN_COMMENT, s + 1);
        } else if (*s == '%' || *s == '=') {
            s = mark(s);
        } else {
            const char *sign = strchr(signs, *s);
            if (sign != NULL)
                push(kinds[sign - signs]);
            else if (*s == '*')
                broken = true;
            else if (*s == ',')
                blank = true;
            else
                group(*s);
            s++;
        }
    }
    assert_int_equal(depth, 0);
}

static const char *printed(const char *as_text)
{
    static Buf out;
    DocLines lines = {0};
    buf_free(&out);
    if (setjmp(oom.env) != 0)
        fail_msg("out of memory");
    read_doc(as_text);
    doc_print(&doc, &arena, &out, &lines);
    const char *text = arena_strndup(&arena, out.at != NULL ? out.at : "", out.len);
    out.len = 0;
    doc_align(text, &lines, &out);
    assert_true(buf_ok(&out));
    return out.at != NULL ? out.at : "";
}

/* The lengths of the lines, by which their breaks are known, and their indentation. */
static void check_lines(const char *as_text, const char *want)
{
    const char *s = printed(as_text);
    Buf got = {0};
    while (*s != '\0') {
        size_t indent = strspn(s, " "), n = strcspn(s, "\n");
        buf_printf(&got, "%s%zu+%zu", got.len > 0 ? " " : "", indent, n - indent);
        s += n + 1;
    }
    assert_string_equal(got.at != NULL ? got.at : "", want);
    buf_free(&got);
}

static void test_groups(void **state)
{
    (void)state;
    assert_string_equal(printed(""), "");
    assert_string_equal(printed("a_(b^c~e)$f"), "a bc e\nf\n");
    check_lines("(a~98)", "0+100");
    check_lines("(a~99)", "0+1 0+99");
    /* the indentation counts, also before there is a text on the line */
    check_lines("<a$(b~96)>", "2+1 2+98");
    check_lines("<a$(b~97)>", "2+1 2+1 2+97");
    check_lines("(a~(b~97)~c)",
                "0+1 0+99 0+1"); /* an inner group may fit where the outer does not */
    check_lines("(a~(b~99)~c)", "0+1 0+1 0+99 0+1");
    check_lines("(a<~b>~99)", "0+1 2+1 0+99");
    check_lines("(a~97)b$c", "0+100 0+1"); /* what follows up to the next line end counts */
    check_lines("(a~98)b$c", "0+1 0+99 0+1");
    check_lines("(a~97)(b~c)", "0+100 0+1"); /* a group that follows may be broken */
    check_lines("(a~98)#c", "0+103");        /* a comment does not count */
    check_lines("(ä~98)", "0+101");          /* characters do, not bytes */
    check_lines("(ä~99)", "0+2 0+99");
}

static void test_equals_signs(void **state)
{
    (void)state;
    check_lines("a{d~bD}", "0+3");
    check_lines("40{d~(59)D}", "0+100");
    check_lines("40{d~(f<^70>^g)D}", "0+40 2+72");         /* whole on the next line */
    check_lines("40{d~(f<^99>^g)D}", "0+42 2+99 0+1");     /* else it stays */
    check_lines("99{d~(f<^99>^g)D}", "0+99 2+1 4+99 2+1"); /* unless its start does not fit */
    check_lines("40[d~(f<^99>^g)D]", "0+40 2+1 4+99 2+1");
    check_lines("40*{d~(f<^9>^g)D}", "0+52");
    check_lines("a*{d#c~bD}", "0+4 2+1");
    check_lines("a*{d~!c~bD}", "0+1 2+1 2+1");
}

static void test_tails(void **state)
{
    (void)state;
    check_lines("t(f<^9>^g)<~50>T", "0+62");
    check_lines("t(f<^50>^g)<~50>T", "0+52 2+50");     /* the tail goes before the head is broken */
    check_lines("t(f<^99>^g)<~50>T", "0+1 2+99 0+52"); /* of no use when that breaks anyway */
    check_lines("t*(f<^9>^g)<~90>T", "0+1 2+9 0+92");
    check_lines("*t(f<^9>^g)#c<~9>T", "0+14 2+9");
    /* inside a tail that stays, a line cannot end */
    check_lines("t(f<^99>^(40~50))<~8>T", "0+1 2+99 0+100");
    check_lines("t(f<^99>^(40~50))<~9>T", "0+1 2+99 0+40 0+60");
}

static void test_comments(void **state)
{
    (void)state;
    assert_string_equal(printed("a#c_b"), "a  c\n  b\n"); /* nowhere else to end the line */
    assert_string_equal(printed("a$!c_b"), "a\nc\nb\n");
    assert_string_equal(printed("a!c_b"), "a\n  c\n  b\n");
    assert_string_equal(printed("a#c!e!f_b"), "a  c\n  e\n  f\n  b\n");
    assert_string_equal(printed("*(a#c~b)"), "a  c\nb\n");
    assert_string_equal(printed("*(a<~!c_b>)"), "a\n  c\n  b\n");
    assert_string_equal(printed("a#c"), "a  c\n");
    assert_string_equal(printed("!c"), "c\n");
}

static void test_empty_lines(void **state)
{
    (void)state;
    assert_string_equal(printed(",a$,b$c$,!x,!y$,e"), "a\n\nb\nc\n\nx\n\ny\n\ne\n");
    assert_string_equal(printed("(a~,b)"), "a b\n"); /* only where a line begins */
}

static void test_columns(void **state)
{
    (void)state;
    assert_string_equal(printed("(a_%kx)$(bbb_%ky)$(cc_%kz)"), "a   x\nbbb y\ncc  z\n");
    assert_string_equal(printed("(a_%kx)$,(bbb_%ky)"), "a x\n\nbbb y\n");
    assert_string_equal(printed("(a_%kx)$(bbb_%ly)"), "a x\nbbb y\n");     /* another table */
    assert_string_equal(printed("(a_%kx)<$(bbb_%ky)>"), "a x\n  bbb y\n"); /* and indentation */
    assert_string_equal(printed("(a_%kx)$b$(ccc_%ky)"), "a x\nb\nccc y\n");
    assert_string_equal(printed("(a_%kx)$*(bb~c)_(eee_%ky)"), "a x\nbb\nc eee y\n");
    assert_string_equal(printed("(ä_%kx)$(bb_%ky)"), "ä  x\nbb y\n");
    check_lines("(a_%k97)$(bb_%ky)", "0+100 0+4");
    check_lines("(a_%k98)$(bb_%ky)", "0+100 0+4"); /* it would become too long */
    check_lines("(a_%k99)$(b_%ky)", "0+101 0+3");
    /* pairs go on in further lines, but not behind a comment of their own line */
    assert_string_equal(printed("a_=x<$y>$bbb_=z"), "a   x\n  y\nbbb z\n");
    assert_string_equal(printed("a_=x<$!y>$bbb_=z"), "a x\n  y\nbbb z\n");
    assert_string_equal(printed("(a_%kx)<$y>$(bbb_%kz)"), "a x\n  y\nbbb z\n");
}

static void test_columns_of_comments(void **state)
{
    (void)state;
    assert_string_equal(printed("a#x$bbb#y$c"), "a    x\nbbb  y\nc\n");
    assert_string_equal(printed("a#x<$bbb#y>"), "a  x\n  bbb  y\n");
    assert_string_equal(printed("(a_%kx)#x$(bbb_%kyy)#y"), "a   x   x\nbbb yy  y\n");
    check_lines("99#x$b#y", "0+102 0+102");
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, &oom, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_equals_signs),
        cmocka_unit_test(test_tails),
        cmocka_unit_test(test_comments),
        cmocka_unit_test(test_empty_lines),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_columns_of_comments),
    };
    return cmocka_run_group_tests_name("doc", tests, setup, teardown);
}
