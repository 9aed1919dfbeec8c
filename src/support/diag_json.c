/* Diagnostics as one JSON array (docs/diagnostics.schema.json). */
#include "support/diag.h"

static void json_place(const Diags *d, Span s, Buf *out)
{
    const Source *src = source_get(d->sources, s.src);
    if (src == NULL) {
        buf_add(out, "\"file\":null,\"line\":null,\"column\":null,\"end_line\":null,"
                     "\"end_column\":null");
        return;
    }
    LineCol a = source_line_col(src, s.lo), b = source_line_col(src, s.hi);
    buf_add(out, "\"file\":");
    buf_json_string(out, src->path);
    buf_printf(out, ",\"line\":%u,\"column\":%u,\"end_line\":%u,\"end_column\":%u", a.line, a.col,
               b.line, b.col);
}

static void json_note(const Diags *d, const DiagNote *n, Buf *out)
{
    buf_printf(out, "{\"kind\":\"%s\",\"message\":", n->kind == NOTE_HELP ? "help" : "note");
    buf_json_string(out, n->text);
    buf_addc(out, ',');
    json_place(d, n->span, out);
    if (n->edit_text != NULL) {
        buf_printf(out, ",\"edit\":{\"start\":%u,\"end\":%u,\"text\":", n->edit_span.lo,
                   n->edit_span.hi);
        buf_json_string(out, n->edit_text);
        buf_printf(out, ",\"certain\":%s}", n->certain ? "true" : "false");
    }
    buf_addc(out, '}');
}

static void json_diag(const Diags *d, const Diag *x, Buf *out)
{
    const DiagInfo *info = &diag_info[x->code];
    buf_printf(out, "{\"code\":\"%s\",\"level\":\"%s\",\"lint\":", info->code,
               diag_level_name(x->level));
    if (info->lint != NULL)
        buf_json_string(out, info->lint);
    else
        buf_add(out, "null");
    buf_add(out, ",\"message\":");
    buf_json_string(out, x->text);
    buf_addc(out, ',');
    json_place(d, x->span, out);
    buf_add(out, ",\"notes\":[");
    for (uint32_t i = 0; i < x->notes.len; i++) {
        buf_add(out, i ? "," : "");
        json_note(d, &x->notes.at[i], out);
    }
    buf_add(out, "]}");
}

/* What is about the run has no code and no place. */
static void json_message(const Diags *d, Severity level, const char *text, Buf *out)
{
    buf_printf(
        out, "{\"code\":null,\"level\":\"%s\",\"lint\":null,\"message\":", diag_level_name(level));
    buf_json_string(out, text);
    buf_addc(out, ',');
    json_place(d, SPAN_NONE, out);
    buf_add(out, ",\"notes\":[]}");
}

void diag_json(const Diags *d, const Diag *const *list, uint32_t n, uint32_t hidden, Buf *out)
{
    const char *before = "[\n";
    for (uint32_t i = 0; i < n; i++, before = ",\n") {
        buf_add(out, before);
        json_diag(d, list[i], out);
    }
    for (uint32_t i = 0; i < d->messages.len; i++, before = ",\n") {
        buf_add(out, before);
        json_message(d, d->messages.at[i].level, d->messages.at[i].text, out);
    }
    if (hidden > 0) {
        Buf text = {0};
        buf_printf(&text, "%u more errors are not shown; --error-limit=N shows more", hidden);
        buf_add(out, before);
        json_message(d, SEV_ALLOW, buf_ok(&text) ? text.at : "", out);
        buf_free(&text);
        before = ",\n";
    }
    buf_add(out, *before == '[' ? "[]\n" : "]\n");
}
