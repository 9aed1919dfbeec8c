/* How messages leave: at once for people, together as one document for programs. */
#include "driver/front.h"
#include "support/fs.h"
#include "support/utf8.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* The rows of a table, which begin with a line break and two blanks, stay rows; other control
 * characters, of a file's name for example, are shown as what they are. */
static void add_rows(Buf *out, const char *text)
{
    static const char row[] = "\n  ";
    for (const char *next; (next = strstr(text, row)) != NULL; text = next + sizeof row - 1) {
        Buf part = {0};
        buf_addn(&part, text, (size_t)(next - text));
        if (part.at != NULL)
            utf8_add_shown(out, part.at);
        buf_free(&part);
        buf_add(out, row);
    }
    utf8_add_shown(out, text);
}

static void say(Run *r, const char *word, const char *colour, const char *text)
{
    Buf out = {0};
    buf_printf(&out, "cnnc: %s%s:%s ", r->colour_err ? colour : "", word,
               r->colour_err ? "\x1b[0m" : "");
    add_rows(&out, text);
    fprintf(stderr, "%s\n", buf_ok(&out) ? out.at : "cnnc: error: out of memory");
    buf_free(&out);
}

void front_say(const char *text)
{
    Buf out = {0};
    utf8_add_shown(&out, text);
    fprintf(stderr, "cnnc: error: %s\n", buf_ok(&out) && out.at != NULL ? out.at : "out of memory");
    buf_free(&out);
}

int front_fail(Run *r, int code, const char *fmt, ...)
{
    va_list ap;
    Buf text = {0};
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    const char *said = buf_ok(&text) && text.at != NULL ? text.at : "out of memory";
    if (r->machine)
        diag_message(&r->session.diags, SEV_ERROR, code == EXIT_USAGE, said);
    else
        say(r, "error", "\x1b[1;31m", said);
    buf_free(&text);
    if (code == EXIT_INTERNAL)
        front_note(r, "this is a fault of cnnc: please report it with the command, its input and "
                      "the version, " CNNC_VERSION);
    return code;
}

void front_note(Run *r, const char *fmt, ...)
{
    va_list ap;
    Buf text = {0};
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    const char *said = buf_ok(&text) && text.at != NULL ? text.at : "out of memory";
    if (r->machine)
        diag_message(&r->session.diags, SEV_ALLOW, false, said);
    else
        say(r, "note", "\x1b[1;36m", said);
    buf_free(&text);
}

/* What a program that reads the messages gets when memory ends while they are written. */
const char *front_last_words(DiagFormat f)
{
    return f == DIAG_JSON ? "[\n{\"code\":null,\"level\":\"error\",\"lint\":null,\"message\":\"out "
                            "of memory\","
                            "\"file\":null,\"line\":null,\"column\":null,\"end_line\":null,"
                            "\"end_column\":null,\"notes\":[]}]\n"
           : f == DIAG_SARIF
               ? "{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"cnnc\"}},"
                 "\"invocations\":[{\"executionSuccessful\":false,\"exitCode\":4,"
                 "\"toolExecutionNotifications\":[{\"level\":\"error\",\"message\":{\"text\":"
                 "\"out of memory\"}}]}],\"results\":[]}]}\n"
               : "cnnc: error: out of memory\n";
}

int front_report(Run *r, int code)
{
    Buf out = {0};
    const char *why = NULL;
    bool wrote = true;
    if (fflush(stdout) != 0 && code == EXIT_FINE)
        code = front_fail(r, EXIT_FILE, "stdout: %s", strerror(errno));
    r->session.diags.run.exit_code = code;
    r->session.diags.run.exit_text = cli_exit_text(code);
    diag_render(&r->session.diags, &out, r->message_format,
                r->messages != NULL && strcmp(r->messages, "-") == 0 ? r->colour_out
                : r->messages != NULL                                ? false
                                                                     : r->colour_err);
    const char *text = !buf_ok(&out)    ? front_last_words(r->message_format)
                       : out.at != NULL ? out.at
                                        : "";
    if (r->messages != NULL) {
        wrote = fs_write_all(r->messages, text, strlen(text), false, &why);
        if (!wrote) {
            Buf said = {0};
            buf_printf(&said, "%s: %s", strcmp(r->messages, "-") == 0 ? "stdout" : r->messages,
                       why);
            front_say(buf_ok(&said) ? said.at : why);
            buf_free(&said);
        }
    } else {
        fputs(text, stderr);
        wrote = fflush(stderr) == 0 && ferror(stderr) == 0;
    }
    buf_free(&out);
    diag_forget_shown(&r->session.diags);
    return code == EXIT_FINE && !wrote ? EXIT_FILE : code;
}
