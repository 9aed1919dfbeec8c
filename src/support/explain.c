#include "support/explain.h"
#include <string.h>

const char *explain_page(DiagCode code)
{
    size_t n = strlen(diag_info[code].code);
    for (unsigned i = 0; i < explain_file_count; i++)
        if (strncmp(explain_files[i].name, diag_info[code].code, n) == 0 &&
            strcmp(explain_files[i].name + n, ".md") == 0)
            return (const char *)explain_files[i].text;
    return NULL;
}

void explain_title(DiagCode code, Buf *out)
{
    const char *page = explain_page(code), *at = page != NULL ? strstr(page, ": ") : NULL;
    if (at != NULL)
        buf_addn(out, at + 2, strcspn(at + 2, "\n"));
}

void explain_summary(DiagCode code, Buf *out)
{
    const char *page = explain_page(code), *at = page != NULL ? strstr(page, "\n\n") : NULL;
    if (at == NULL)
        return;
    at += 2;
    const char *end = strstr(at, "\n\n");
    for (end = end != NULL ? end : at + strlen(at); at < end; at++)
        if (*at != '`' && (*at != '\n' || at + 1 < end))
            buf_addc(out, *at == '\n' ? ' ' : *at);
}

/* Marks are dropped from text, not from examples. */
static void text_line(const char *line, size_t n, Buf *out)
{
    for (size_t i = 0; i < n; i++)
        if (line[i] != '`')
            buf_addc(out, line[i]);
}

void explain_text(DiagCode code, bool colour, Buf *out)
{
    const DiagInfo *info = &diag_info[code];
    const char *page = explain_page(code);
    bool example = false;
    if (page == NULL)
        return;
    for (const char *line = page; *line != '\0';) {
        size_t n = strcspn(line, "\n");
        if (strncmp(line, "```", 3) == 0) {
            example = !example;
        } else {
            if (example) {
                buf_add(out, n > 0 ? "    " : "");
                buf_addn(out, line, n);
            } else if (line == page) {
                buf_printf(out, "%s%.*s%s\n", colour ? "\x1b[1m" : "", (int)n - 2, line + 2,
                           colour ? "\x1b[0m" : "");
                if (info->lint != NULL)
                    buf_printf(out, "lint %s, %s by default", info->lint,
                               diag_level_name(info->level));
                else
                    buf_add(out, "always an error");
            } else {
                text_line(line, n, out);
            }
            buf_addc(out, '\n');
        }
        line += n + (line[n] == '\n');
    }
}
