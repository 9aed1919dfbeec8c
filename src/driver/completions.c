/* Shell completions, generated from options.def. */
#include "driver/options.h"
#include "support/diag.h"
#include <string.h>

/* What the value of an option, or an operand, may be. */
typedef enum Kind { KIND_NONE, KIND_CHOICE, KIND_FILE, KIND_FOLDER, KIND_LINTS, KIND_OTHER } Kind;

static Kind value_kind(Option o)
{
    const char *arg = opt_info[o].arg;
    if (arg == NULL || arg[0] == '[') /* a value that may be left out is not offered */
        return KIND_NONE;
    if (cli_has_choices(o))
        return KIND_CHOICE;
    if (strcmp(arg, "LINTS") == 0)
        return KIND_LINTS;
    if (strcmp(arg, "DIR") == 0)
        return KIND_FOLDER;
    return strstr(arg, "FILE") != NULL ? KIND_FILE : KIND_OTHER;
}

/* Words with blanks between, for "a|b|c". */
static void add_words(const char *list, Buf *out)
{
    for (; *list != '\0'; list++)
        buf_addc(out, *list == '|' ? ' ' : *list);
}

static void add_lints(Buf *out)
{
    for (int i = 0; i < DIAG_COUNT; i++)
        if (diag_info[i].lint != NULL)
            buf_printf(out, "%s ", diag_info[i].lint);
    buf_add(out, "warnings");
}

static void add_commands(Buf *out)
{
    for (int i = CMD_NONE + 1; i < CMD_COUNT; i++)
        buf_printf(out, "%s ", cmd_info[i].name);
    buf_add(out, "help version");
}

static void add_operands(Command c, Buf *out)
{
    const char *args = cmd_info[c].args;
    if (c == CMD_EXPLAIN) {
        for (int i = 0; i < DIAG_COUNT; i++)
            buf_printf(out, "%s ", diag_info[i].code);
        buf_add(out, "lints");
    } else if (strchr(args, '|') != NULL && args[0] != '[') {
        add_words(args, out);
    }
}

static void bash_value(Option o, Buf *out)
{
    Kind k = value_kind(o);
    if (k == KIND_CHOICE || k == KIND_LINTS) {
        buf_add(out, "words=\"");
        if (k == KIND_LINTS)
            add_lints(out);
        else
            add_words(opt_info[o].arg, out);
        buf_add(out, "\"");
    } else {
        buf_add(out, k == KIND_FILE ? "files=-f" : k == KIND_FOLDER ? "files=-d" : "return");
    }
}

/* A case of the option's name; one in it where the name means something else for some commands. */
static void bash_values(Option o, Buf *out)
{
    bool alone = true;
    for (int i = 0; i < OPT_COUNT; i++)
        if (i != (int)o && strcmp(opt_info[i].name, opt_info[o].name) == 0) {
            if (i < (int)o)
                return; /* it stands with the first */
            alone = false;
        }
    if (value_kind(o) == KIND_NONE)
        return;
    buf_add(out, "    ");
    if (opt_info[o].letter != 0)
        buf_printf(out, "-%c | ", opt_info[o].letter);
    buf_printf(out, "--%s) ", opt_info[o].name);
    if (!alone) {
        buf_add(out, "case ${COMP_WORDS[1]} in ");
        for (int i = (int)o + 1; i < OPT_COUNT; i++)
            for (int c = CMD_NONE + 1; c < CMD_COUNT; c++)
                if (strcmp(opt_info[i].name, opt_info[o].name) == 0 &&
                    cli_belongs((Option)i, (Command)c)) {
                    buf_printf(out, "%s) ", cmd_info[c].name);
                    bash_value((Option)i, out);
                    buf_add(out, " ;; ");
                }
        buf_add(out, "*) ");
    }
    bash_value(o, out);
    buf_add(out, alone ? " ;;\n" : " ;; esac ;;\n");
}

static void bash(Buf *out)
{
    buf_add(out, "# bash completion of cnnc; source it, or put it where bash-completion looks\n"
                 "_cnnc() {\n"
                 "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" "
                 "prev=\"${COMP_WORDS[COMP_CWORD-1]}\" words= files=\n"
                 "    COMPREPLY=()\n"
                 "    [ \"$cur\" = = ] && cur=\n"
                 "    if [ \"$prev\" = = ]; then prev=\"${COMP_WORDS[COMP_CWORD-2]}\"; fi\n"
                 "    if [ \"$COMP_CWORD\" = 1 ]; then words=\"");
    add_commands(out);
    buf_add(out, " --help --version\"; else\n    case $prev in\n");
    for (int i = 0; i < OPT_COUNT; i++)
        bash_values((Option)i, out);
    buf_add(out, "    *) case $cur in\n        -*) case ${COMP_WORDS[1]} in\n");
    for (int c = CMD_NONE + 1; c < CMD_COUNT; c++) {
        buf_printf(out, "            %s) words=\"", cmd_info[c].name);
        for (int i = 0; i < OPT_COUNT; i++)
            if (cli_belongs((Option)i, (Command)c))
                buf_printf(out, "--%s ", opt_info[i].name);
        buf_add(out, "--version\" ;;\n");
    }
    buf_add(out, "            esac ;;\n        *) files=-f; case ${COMP_WORDS[1]} in\n");
    for (int c = CMD_NONE + 1; c < CMD_COUNT; c++) {
        if (strncmp(cmd_info[c].args, "NET", 3) == 0) {
            buf_printf(out, "            %s) words=\"$(cnnc nets --names 2>/dev/null)\" ;;\n",
                       cmd_info[c].name);
            continue;
        }
        buf_printf(out, "            %s) words=\"", cmd_info[c].name);
        add_operands((Command)c, out);
        buf_add(out, "\" ;;\n");
    }
    buf_add(out, "            help) words=\"");
    add_commands(out);
    buf_add(out, "\" ;;\n            esac ;;\n        esac ;;\n    esac\n    fi\n"
                 "    [ -n \"$words\" ] && COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
                 "    [ -n \"$files\" ] && COMPREPLY+=($(compgen $files -- \"$cur\"))\n"
                 "    return 0\n}\n"
                 "complete -o filenames -F _cnnc cnnc\n");
}

/* Text inside single quotes of zsh's _arguments and fish: no quote, no bracket, no colon. */
static void add_doc(const char *doc, Buf *out)
{
    for (; *doc != '\0'; doc++) {
        if (*doc == '\'')
            buf_add(out, "'\\''");
        else if (strchr("[]:", *doc) != NULL)
            buf_printf(out, "\\%c", *doc);
        else
            buf_addc(out, *doc);
    }
}

static void zsh_option(Option o, Buf *out)
{
    static const char *const action[] = {"",       "",        ":file:_files", ":folder:_files -/",
                                         ":lints", ":value: "};
    const OptInfo *x = &opt_info[o];
    Kind k = value_kind(o);
    for (int form = 0; form < 2; form++) { /* the short and the long one */
        if (form == 0 && x->letter == 0)
            continue;
        if (form == 0)
            buf_printf(out, "            '*-%c%s[", x->letter, k != KIND_NONE ? "+" : "");
        else
            buf_printf(out, "            '*--%s%s[", x->name, k != KIND_NONE ? "=" : "");
        add_doc(x->doc, out);
        buf_add(out, "]");
        if (k == KIND_CHOICE || k == KIND_LINTS) {
            buf_add(out, ":value:(");
            if (k == KIND_LINTS)
                add_lints(out);
            else
                add_words(x->arg, out);
            buf_add(out, ")");
        } else {
            buf_add(out, action[k]);
        }
        buf_add(out, "' \\\n");
    }
}

static void zsh(Buf *out)
{
    buf_add(out, "#compdef cnnc\n# zsh completion of cnnc; put it on $fpath as _cnnc\n"
                 "_cnnc() {\n    if (( CURRENT == 2 )); then\n        local -a commands=(\n");
    for (int c = CMD_NONE + 1; c < CMD_COUNT; c++) {
        buf_printf(out, "            '%s:", cmd_info[c].name);
        add_doc(cmd_info[c].doc, out);
        buf_add(out, "'\n");
    }
    buf_add(out, "            'help:list the options of a command'\n"
                 "            'version:print the version'\n        )\n"
                 "        _describe command commands\n        return\n    fi\n"
                 "    local command=$words[2]\n    shift words\n    (( CURRENT-- ))\n"
                 "    case $command in\n");
    for (int c = CMD_NONE + 1; c < CMD_COUNT; c++) {
        buf_printf(out, "        %s) _arguments -s \\\n", cmd_info[c].name);
        for (int i = 0; i < OPT_COUNT; i++)
            if (cli_belongs((Option)i, (Command)c))
                zsh_option((Option)i, out);
        buf_add(out, "            '--version[print the version]' \\\n            '*:operand:");
        if (strncmp(cmd_info[c].args, "NET", 3) == 0) {
            buf_add(out, "{ _files; compadd -- ${(f)\"$(cnnc nets --names 2>/dev/null)\"} }' ;;\n");
        } else {
            Buf words = {0};
            add_operands((Command)c, &words);
            if (words.len > 0)
                buf_printf(out, "(%s)' ;;\n", words.at);
            else
                buf_add(out, "_files' ;;\n");
            buf_free(&words);
        }
    }
    buf_add(out, "        help) compadd -- ");
    add_commands(out);
    buf_add(out, " ;;\n    esac\n}\n_cnnc \"$@\"\n");
}

static void fish_option(Option o, Buf *out)
{
    const OptInfo *x = &opt_info[o];
    Kind k = value_kind(o);
    buf_add(out, "complete -c cnnc");
    if (x->cmds[0] != '*') {
        buf_add(out, " -n '__fish_seen_subcommand_from");
        for (int c = CMD_NONE + 1; c < CMD_COUNT; c++)
            if (cli_belongs(o, (Command)c))
                buf_printf(out, " %s", cmd_info[c].name);
        buf_add(out, "'");
    }
    if (x->letter != 0)
        buf_printf(out, " -s %c", x->letter);
    buf_printf(out, " -l %s", x->name);
    if (k == KIND_CHOICE || k == KIND_LINTS) {
        buf_add(out, " -x -a '");
        if (k == KIND_LINTS)
            add_lints(out);
        else
            add_words(x->arg, out);
        buf_add(out, "'");
    } else {
        buf_add(out, k == KIND_NONE ? "" : k == KIND_FILE || k == KIND_FOLDER ? " -r -F" : " -x");
    }
    buf_add(out, " -d '");
    for (const char *d = x->doc; *d != '\0'; d++) {
        if (*d == '\'' || *d == '\\')
            buf_addc(out, '\\');
        buf_addc(out, *d);
    }
    buf_add(out, "'\n");
}

static void fish(Buf *out)
{
    buf_add(out, "# fish completion of cnnc; put it into ~/.config/fish/completions\n");
    for (int c = CMD_NONE + 1; c < CMD_COUNT; c++)
        buf_printf(out, "complete -c cnnc -f -n __fish_use_subcommand -a %s -d '%s'\n",
                   cmd_info[c].name, cmd_info[c].doc);
    buf_add(out, "complete -c cnnc -f -n __fish_use_subcommand -a 'help version'\n"
                 "complete -c cnnc -l version -d 'print the version'\n");
    for (int i = 0; i < OPT_COUNT; i++)
        fish_option((Option)i, out);
    for (int c = CMD_NONE + 1; c < CMD_COUNT; c++) {
        Buf words = {0};
        add_operands((Command)c, &words);
        bool net = strncmp(cmd_info[c].args, "NET", 3) == 0;
        if (net || words.len > 0)
            buf_printf(out, "complete -c cnnc -n '__fish_seen_subcommand_from %s' -a '%s'\n",
                       cmd_info[c].name, net ? "(cnnc nets --names 2>/dev/null)" : words.at);
        buf_free(&words);
    }
}

bool cli_completions(const char *shell, Buf *out)
{
    static const struct {
        const char *name;
        void (*print)(Buf *out);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (strcmp(shell, shells[i].name) == 0) {
            shells[i].print(out);
            return true;
        }
    return false;
}
