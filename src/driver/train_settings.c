/* Settings of a training from the source and the command line. */
#include "driver/train_settings.h"
#include "driver/commands.h"
#include "driver/train_step.h"
#include <string.h>

/* The value that --NAME=VALUE or --set NAME=VALUE gives to this name, NULL when it is another. */
static const char *value_of(const CliValue *v, const char *name)
{
    size_t n = strlen(name);
    if (v->option >= OPT_TRAIN_EPOCHS && v->option <= OPT_TRAIN_WORKERS)
        return strcmp(opt_info[v->option].name, name) == 0 ? v->text : NULL;
    return v->option == OPT_SET && strncmp(v->text, name, n) == 0 && v->text[n] == '='
               ? v->text + n + 1
               : NULL;
}

/* Every --set names an option; what is none is said by train_spec_set. */
static int check_names(Run *r, TrainSpec *s)
{
    for (int i = 0; i < r->cli->value_count; i++) {
        const CliValue *v = &r->cli->values[i];
        bool known = v->option != OPT_SET;
        for (int k = 0; k < train_option_count; k++)
            known = known || value_of(v, train_options[k].name) != NULL;
        if (known)
            continue;
        const char *eq = strchr(v->text, '=');
        if (eq == NULL)
            return front_fail(r, EXIT_USAGE, "--set takes NAME=VALUE, such as lr=0.1, not '%s'",
                              v->text);
        const char *name = arena_strndup(&r->session.arena, v->text, (size_t)(eq - v->text));
        return front_fail(r, EXIT_USAGE, "%s", train_spec_set(s, name, eq + 1));
    }
    return EXIT_FINE;
}

int train_settings(Run *r, const Net *n, TrainSpec *s)
{
    if (!train_spec(n->elab, s))
        return EXIT_REFUSED;
    int code = check_names(r, s);
    const char *why = NULL;
    for (int k = 0; code == EXIT_FINE && why == NULL && k < train_option_count; k++)
        for (int i = 0; why == NULL && i < r->cli->value_count; i++) {
            const char *value = value_of(&r->cli->values[i], train_options[k].name);
            if (value != NULL)
                why = train_spec_set(s, train_options[k].name, value);
        }
    if (code == EXIT_FINE && why == NULL)
        why = train_spec_check(s);
    return why == NULL ? code : front_fail(r, EXIT_USAGE, "%s", why);
}

int train_settings_show(Run *r, const Net *n)
{
    TrainSpec s;
    Buf out = {0};
    SummaryFormat format = command_format(r);
    if (format == SUMMARY_CSV)
        return front_fail(r, EXIT_USAGE, "--train prints a table or json, not csv");
    int code = train_settings(r, n, &s);
    if (code != EXIT_FINE)
        return code;
    if (format == SUMMARY_JSON)
        train_spec_json(&s, &out);
    else
        train_spec_print(&s, &out);
    if (cli_has(r->cli, OPT_RECOMPUTE)) {
        if (format == SUMMARY_JSON && out.len > 0) {
            out.len--; /* the brace */
            buf_add(&out, ",\"activations\":");
        }
        code = train_step_memory(r, n, &s, format == SUMMARY_JSON, &out);
        buf_add(&out, format == SUMMARY_JSON ? "}" : "");
    }
    if (code != EXIT_FINE) {
        buf_free(&out);
        return code;
    }
    buf_add(&out, format == SUMMARY_JSON ? "\n" : "");
    return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
}
