/* What cnnc says about its commands and options: --help and the manual page. */
#include "driver/options.h"
#include "support/diag.h"
#include <ctype.h>
#include <string.h>

static void help_option(const OptInfo *o, Buf *out)
{
    size_t start = out->len;
    if (o->letter != 0)
        buf_printf(out, "  -%c, --%s", o->letter, o->name);
    else
        buf_printf(out, "      --%s", o->name);
    if (o->arg != NULL)
        buf_printf(out, o->arg[0] == '[' ? "[=%s" : "=%s", o->arg + (o->arg[0] == '['));
    int used = (int)(out->len - start);
    buf_pad(out, ' ', used < 32 ? 32 - used : 1);
    buf_printf(out, "%s\n", o->doc);
}

void cli_help(const Cli *c, Buf *out)
{
    if (c->command == CMD_NONE) {
        buf_add(out, "usage: cnnc COMMAND [OPTION...] NET\n\n"
                     "Checks, explains and compiles convolutional networks.\n"
                     "NET is FILE.cnn, FILE.cnn:NAME, or a network of the standard library.\n\n"
                     "commands:\n");
        for (int i = CMD_NONE + 1; i < CMD_COUNT; i++)
            buf_printf(out, "  %-12s %-18s %s\n", cmd_info[i].name, cmd_info[i].args,
                       cmd_info[i].doc);
        buf_add(out, "\n'cnnc COMMAND --help' lists the options of a command.\nexit codes:\n");
#define EXIT(ID, CODE, DOC) buf_printf(out, "  %2d  %s\n", CODE, DOC);
#include "driver/exit.def"
        return;
    }
    const CmdInfo *k = &cmd_info[c->command];
    buf_printf(out, "usage: cnnc %s [OPTION...]%s%s\n%s\n\noptions:\n", k->name,
               *k->args ? " " : "", k->args, k->doc);
    for (int i = 0; i < OPT_COUNT; i++)
        if (cli_belongs((Option)i, c->command))
            help_option(&opt_info[i], out);
}

/* Text in roff: a leading dot or quote and every backslash and hyphen would be taken for its own.
 */
static void roff(const char *text, Buf *out)
{
    if (*text == '.' || *text == '\'')
        buf_add(out, "\\&");
    for (; *text != '\0'; text++) {
        if (*text == '\\')
            buf_add(out, "\\e");
        else if (*text == '-')
            buf_add(out, "\\-");
        else
            buf_addc(out, *text);
    }
}

static void man_item(const char *head, const char *doc, Buf *out)
{
    buf_add(out, ".TP\n.B ");
    roff(head, out);
    buf_addc(out, '\n');
    roff(doc, out);
    buf_addc(out, '\n');
}

static void man_option(const OptInfo *o, Buf *out)
{
    buf_add(out, ".TP\n");
    if (o->letter != 0)
        buf_printf(out, "\\fB\\-%c\\fR, ", o->letter);
    buf_add(out, "\\fB\\-\\-");
    roff(o->name, out);
    buf_add(out, "\\fR");
    if (o->arg != NULL) {
        buf_add(out, o->arg[0] == '[' ? "[=\\fI" : "=\\fI");
        roff(o->arg + (o->arg[0] == '['), out);
        buf_add(out, "\\fR");
    }
    buf_addc(out, '\n');
    roff(o->doc, out);
    if (o->cmds[0] != '*') {
        buf_add(out, "\n(");
        for (const char *c = o->cmds; *c != '\0'; c++)
            for (int i = CMD_NONE + 1; i < CMD_COUNT; i++)
                if (cmd_info[i].letter == *c) {
                    buf_add(out, c == o->cmds ? "" : ", ");
                    roff(cmd_info[i].name, out);
                }
        buf_addc(out, ')');
    }
    buf_addc(out, '\n');
}

void cli_man(Buf *out)
{
    buf_add(out, ".TH CNNC 1 \"\" \"cnnc " CNNC_VERSION "\" \"User Commands\"\n"
                 ".SH NAME\ncnnc \\- compiler for convolutional networks\n"
                 ".SH SYNOPSIS\n.B cnnc\n.I COMMAND\n[\\fIOPTION\\fR]... [\\fINET\\fR]...\n"
                 ".SH DESCRIPTION\nChecks, explains and compiles convolutional networks.\n"
                 "\\fINET\\fR is \\fIFILE.cnn:NAME\\fR, \\fIFILE.cnn\\fR (its last network;\n"
                 "\\fBcheck\\fR takes all) or a network of the standard library.\n"
                 "The file \\fB\\-\\fR is the standard input. Diagnostics go to stderr.\n"
                 ".SH COMMANDS\n");
    for (int i = CMD_NONE + 1; i < CMD_COUNT; i++) {
        buf_printf(out, ".TP\n\\fB");
        roff(cmd_info[i].name, out);
        buf_add(out, "\\fR ");
        roff(cmd_info[i].args, out);
        buf_addc(out, '\n');
        roff(cmd_info[i].doc, out);
        buf_addc(out, '\n');
    }
    man_item("help [COMMAND]", "list the commands, or the options of one", out);
    buf_add(out,
            ".SH OPTIONS\nOptions may follow operands; \\fB\\-\\-\\fR ends them. Of an option "
            "that is not\nrepeatable the last one counts. Long options are written in full.\n");
    for (int i = 0; i < OPT_COUNT; i++)
        man_option(&opt_info[i], out);
    man_item("--version", "print the version", out);
    buf_add(out, ".SH LINTS\n");
    for (int i = 0; i < DIAG_COUNT; i++)
        if (diag_info[i].lint != NULL) {
            Buf head = {0};
            buf_printf(&head, "%s (%s, %s)", diag_info[i].lint, diag_info[i].code,
                       diag_level_name(diag_info[i].level));
            Buf doc = {0};
            buf_printf(&doc, "cnnc explain %s", diag_info[i].code);
            man_item(buf_ok(&head) ? head.at : "", buf_ok(&doc) ? doc.at : "", out);
            buf_free(&head);
            buf_free(&doc);
        }
    buf_add(out, ".SH EXIT STATUS\n");
#define EXIT(ID, CODE, DOC) man_item(#CODE, DOC, out);
#include "driver/exit.def"
    man_item("130, 143", "interrupted by a signal, as a shell reports it", out);
    buf_add(out, ".SH ENVIRONMENT\n");
#define ENV(NAME, DOC) man_item(NAME, DOC, out);
#include "driver/options.def"
    buf_add(out, ".SH EXAMPLES\n.nf\ncnnc check net.cnn\ncnnc check \\-\\-fix net.cnn\n"
                 "cnnc check resnet18 \\-\\-message\\-format=sarif \\-o report.sarif\n"
                 "cnnc explain E0502\n.fi\n");
}
