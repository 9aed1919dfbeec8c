/* explain, completions, man: what cnnc says about itself. */
#include "driver/commands.h"
#include "support/explain.h"
#include <string.h>
#include <stdlib.h>
#include <strings.h>

static void list_row(DiagCode code, Buf *out)
{
    buf_printf(out, "%s  ", diag_info[code].code);
    explain_title(code, out);
    if (diag_info[code].lint != NULL)
        buf_printf(out, " [%s]", diag_info[code].lint);
    buf_addc(out, '\n');
}

/* Numbers without their letter: errors and warnings of a kind stand together. */
static int by_number(const void *a, const void *b)
{
    return strcmp(diag_info[*(const DiagCode *)a].code + 1,
                  diag_info[*(const DiagCode *)b].code + 1);
}

static void list_codes(Buf *out)
{
    DiagCode codes[DIAG_COUNT];
    for (int i = 0; i < DIAG_COUNT; i++)
        codes[i] = (DiagCode)i;
    qsort(codes, DIAG_COUNT, sizeof *codes, by_number);
    for (int i = 0; i < DIAG_COUNT; i++)
        list_row(codes[i], out);
}

static void list_lints(Buf *out)
{
    buf_printf(out, "%-18s %-6s %-8s %s\n", "lint", "code", "default", "means");
    for (int i = 0; i < DIAG_COUNT; i++) {
        const DiagInfo *info = &diag_info[i];
        if (info->lint == NULL)
            continue;
        buf_printf(out, "%-18s %-6s %-8s ", info->lint, info->code,
                   info->level == SEV_ERROR ? "deny" : "warn");
        explain_title((DiagCode)i, out);
        buf_addc(out, '\n');
    }
    buf_add(out, "\n--allow, --warn and --deny take lints, codes, and 'warnings' for all that are "
                 "warnings;\nthe later option wins. In the source: @allow(lint, \"reason\") before "
                 "a stage, head, block,\nnet, input or step.\n");
}

static int unknown(Run *r, const char *word)
{
    const char *names[2 * DIAG_COUNT + 1];
    size_t n = 0;
    for (int i = 0; i < DIAG_COUNT; i++) {
        names[n++] = diag_info[i].code;
        if (diag_info[i].lint != NULL)
            names[n++] = diag_info[i].lint;
    }
    names[n++] = "lints";
    char *upper = arena_strdup(&r->session.arena, word);
    if (strcspn(upper, "0123456789") <= 1) /* a code */
        for (char *c = upper; *c != '\0'; c++)
            *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
    const char *near = intern_nearest(upper, names, n);
    if (near != NULL)
        return front_fail(r, EXIT_USAGE, "there is no diagnostic '%s'; did you mean '%s'?", word,
                          near);
    return front_fail(r, EXIT_USAGE, "there is no diagnostic '%s'; 'cnnc explain' lists them",
                      word);
}

int command_explain(Run *r)
{
    Buf out = {0};
    const char *word = r->cli->operand_count > 0 ? r->cli->operands[0] : NULL;
    int code = 0;
    if (word == NULL) {
        list_codes(&out);
    } else if (strcmp(word, "lints") == 0) {
        list_lints(&out);
    } else {
        while (code < DIAG_COUNT && strcasecmp(diag_info[code].code, word) != 0)
            code++;
        if (code == DIAG_COUNT)
            code = (int)diag_lint(word);
        if (code == DIAG_COUNT)
            return unknown(r, word);
        explain_text((DiagCode)code, r->colour_out && !cli_has(r->cli, OPT_OUTPUT), &out);
    }
    return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
}

int command_completions(Run *r)
{
    Buf out = {0};
    if (!cli_completions(r->cli->operands[0], &out))
        return front_fail(r, EXIT_USAGE, "completions are for bash, zsh and fish, not '%s'",
                          r->cli->operands[0]);
    return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
}

int command_man(Run *r)
{
    Buf out = {0};
    cli_man(&out);
    return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
}
