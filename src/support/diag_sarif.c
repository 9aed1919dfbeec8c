/* Diagnostics as a SARIF 2.1.0 log (OASIS, Static Analysis Results Interchange Format). Paragraph
 * numbers in comments are the standard's. No times and no absolute paths of our own: the same run
 * gives the same bytes. */
#include "support/diag.h"
#include "support/explain.h"
#include <ctype.h>
#include <string.h>

/* Which rules and sources the log refers to: their places in its arrays, + 1. */
typedef struct Log {
    const Diags *d;
    Buf *out;
    uint32_t rule[DIAG_COUNT], rules;
} Log;

static void text_member(Log *l, const char *key, const char *text)
{
    buf_printf(l->out, "\"%s\":{\"text\":", key);
    buf_json_string(l->out, text);
    buf_addc(l->out, '}');
}

/* 3.4.3: a relative reference where the path is relative. What is no file has a scheme of its own;
 * bytes that a URI cannot hold are percent-encoded. */
static void uri(Log *l, const char *path)
{
    size_t n = strlen(path);
    bool embedded = n > 2 && path[0] == '<' && path[n - 1] == '>';
    buf_add(l->out, embedded ? "\"cnnc:/" : path[0] == '/' ? "\"file://" : "\"");
    for (size_t i = embedded; i < n - embedded; i++) {
        unsigned char c = (unsigned char)path[i];
        if (c < 0x80 && (isalnum(c) || strchr("-._~/", c) != NULL))
            buf_addc(l->out, (char)c);
        else
            buf_printf(l->out, "%%%02X", c);
    }
    buf_addc(l->out, '"');
}

static void artifact_location(Log *l, const Source *src)
{
    buf_add(l->out, "\"artifactLocation\":{\"uri\":");
    uri(l, src->path);
    buf_addc(l->out, '}');
}

static void region(Log *l, const char *key, const Source *src, Span s)
{
    LineCol a = source_line_col(src, s.lo), b = source_line_col(src, s.hi);
    buf_printf(l->out,
               "\"%s\":{\"startLine\":%u,\"startColumn\":%u,\"endLine\":%u,\"endColumn\":%u}", key,
               a.line, a.col, b.line, b.col);
}

/* False, and nothing written, where there is no place. */
static bool physical_location(Log *l, Span s)
{
    const Source *src = source_get(l->d->sources, s.src);
    if (src == NULL)
        return false;
    buf_add(l->out, "\"physicalLocation\":{");
    artifact_location(l, src);
    buf_addc(l->out, ',');
    region(l, "region", src, s);
    buf_addc(l->out, '}');
    return true;
}

/* 3.49: "StageStride" for E_STAGE_STRIDE. */
static void rule_name(const char *id, Buf *out)
{
    bool upper = true;
    for (const char *c = id + 2; *c != '\0'; c++) {
        if (*c != '_')
            buf_addc(out, upper ? *c : (char)tolower((unsigned char)*c));
        upper = *c == '_';
    }
}

static void rule(Log *l, DiagCode code)
{
    const DiagInfo *info = &diag_info[code];
    const char *page = explain_page(code);
    Buf title = {0}, summary = {0}, help = {0};
    explain_title(code, &title);
    explain_summary(code, &summary);
    explain_text(code, false, &help);
    buf_printf(l->out, "{\"id\":\"%s\",\"name\":\"", info->code);
    rule_name(info->id, l->out);
    buf_add(l->out, "\",");
    text_member(l, "shortDescription", title.len > 0 ? title.at : info->code);
    buf_addc(l->out, ',');
    text_member(l, "fullDescription", summary.len > 0 ? summary.at : info->code);
    buf_add(l->out, ",\"help\":{\"text\":");
    buf_json_string(l->out, help.len > 0 ? help.at : info->code);
    buf_add(l->out, ",\"markdown\":");
    buf_json_string(l->out, page != NULL ? page : info->code);
    buf_printf(l->out, "},\"defaultConfiguration\":{\"level\":\"%s\"}}",
               diag_level_name(info->level));
    if (!buf_ok(&title) || !buf_ok(&summary) || !buf_ok(&help))
        l->out->failed = true;
    buf_free(&title);
    buf_free(&summary);
    buf_free(&help);
}

/* 3.27.22: notes, with a place or without one. */
static void related(Log *l, const Diag *x)
{
    buf_add(l->out, ",\"relatedLocations\":[");
    for (uint32_t i = 0; i < x->notes.len; i++) {
        buf_printf(l->out, "%s{\"id\":%u,", i ? "," : "", i);
        if (physical_location(l, x->notes.at[i].span))
            buf_addc(l->out, ',');
        text_member(l, "message", x->notes.at[i].text);
        buf_addc(l->out, '}');
    }
    buf_addc(l->out, ']');
}

/* 3.55: only what may be applied without asking. */
static void fixes(Log *l, const Diag *x)
{
    bool any = false;
    for (uint32_t i = 0; i < x->notes.len; i++) {
        const DiagNote *n = &x->notes.at[i];
        const Source *src = source_get(l->d->sources, n->edit_span.src);
        if (n->edit_text == NULL || !n->certain || src == NULL)
            continue;
        buf_add(l->out, any ? ",{" : ",\"fixes\":[{");
        any = true;
        text_member(l, "description", n->text);
        buf_add(l->out, ",\"artifactChanges\":[{");
        artifact_location(l, src);
        buf_add(l->out, ",\"replacements\":[{");
        region(l, "deletedRegion", src, n->edit_span);
        buf_addc(l->out, ',');
        text_member(l, "insertedContent", n->edit_text);
        buf_add(l->out, "}]}]}");
    }
    buf_add(l->out, any ? "]" : "");
}

/* 3.35 */
static void suppression(Log *l, const Diag *x)
{
    const DiagAllow *a = &l->d->allows.at[x->allow - 1];
    buf_add(l->out,
            ",\"suppressions\":[{\"kind\":\"inSource\",\"status\":\"accepted\",\"location\":{");
    physical_location(l, a->at);
    buf_add(l->out, "},\"justification\":");
    buf_json_string(l->out, a->reason != NULL ? a->reason : "");
    buf_add(l->out, "}]");
}

static void result(Log *l, const Diag *x)
{
    bool silenced = x->level == SEV_ALLOW && x->allow != 0;
    buf_printf(l->out, "{\"ruleId\":\"%s\",\"ruleIndex\":%u,\"level\":\"%s\",",
               diag_info[x->code].code, l->rule[x->code] - 1,
               diag_level_name(silenced ? diag_info[x->code].level : x->level));
    text_member(l, "message", x->text);
    buf_add(l->out, ",\"locations\":[");
    if (source_get(l->d->sources, x->span.src) != NULL) {
        buf_addc(l->out, '{');
        physical_location(l, x->span);
        buf_addc(l->out, '}');
    }
    buf_addc(l->out, ']');
    if (x->notes.len > 0)
        related(l, x);
    fixes(l, x);
    if (silenced)
        suppression(l, x);
    buf_addc(l->out, '}');
}

/* 3.20.20 and 3.20.21: what is about the run, not about a source. */
static void notifications(Log *l, const char *key, bool usage, uint32_t hidden)
{
    const char *before = "";
    buf_printf(l->out, ",\"%s\":[", key);
    for (uint32_t i = 0; i < l->d->messages.len; i++) {
        const DiagMessage *m = &l->d->messages.at[i];
        if (m->usage != usage)
            continue;
        buf_printf(l->out, "%s{\"level\":\"%s\",", before, diag_level_name(m->level));
        text_member(l, "message", m->text);
        buf_addc(l->out, '}');
        before = ",";
    }
    if (hidden > 0 && !usage)
        buf_printf(l->out,
                   "%s{\"level\":\"note\",\"message\":{\"text\":\"%u more errors are not shown; "
                   "--error-limit=N shows more\"}}",
                   before, hidden);
    buf_addc(l->out, ']');
}

static void invocation(Log *l, uint32_t hidden)
{
    const DiagRun *run = &l->d->run;
    buf_printf(l->out, "\"invocations\":[{\"executionSuccessful\":%s,\"exitCode\":%d,",
               run->exit_code <= 1 ? "true" : "false", run->exit_code);
    buf_add(l->out, "\"exitCodeDescription\":");
    buf_json_string(l->out, run->exit_text != NULL ? run->exit_text : "");
    notifications(l, "toolExecutionNotifications", false, hidden);
    notifications(l, "toolConfigurationNotifications", true, hidden);
    buf_add(l->out, "}],\n");
}

void diag_sarif(const Diags *d, const Diag *const *list, uint32_t n, uint32_t hidden, Buf *out)
{
    Log l = {.d = d, .out = out};
    buf_add(out,
            "{\"$schema\":\"https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/"
            "sarif-schema-2.1.0.json\",\"version\":\"2.1.0\",\"runs\":[{\n\"tool\":{\"driver\":{"
            "\"name\":\"cnnc\",\"version\":");
    buf_json_string(out, d->run.version != NULL ? d->run.version : "");
    buf_add(out, ",\"rules\":[");
    for (uint32_t i = 0; i < n; i++) {
        if (l.rule[list[i]->code] != 0)
            continue;
        buf_add(out, l.rules > 0 ? ",\n" : "\n");
        l.rule[list[i]->code] = ++l.rules;
        rule(&l, list[i]->code);
    }
    buf_add(out, "]}},\n\"columnKind\":\"unicodeCodePoints\",\n");
    invocation(&l, hidden);
    buf_add(out, "\"results\":[");
    for (uint32_t i = 0; i < n; i++) {
        buf_add(out, i > 0 ? ",\n" : "\n");
        result(&l, list[i]);
    }
    buf_add(out, "]}]}\n");
}
