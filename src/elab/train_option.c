/* Options of the command line against a TrainSpec. */
#include "elab/train_table.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum OptionKind {
    OPTION_IS_CALL,
    OPTION_IS_KEY,
    OPTION_IS_ARG,
    OPTION_IS_TERM,
    OPTION_IS_POLICY
} OptionKind;

const TrainOption train_options[] = {
#define OPTION_CALL(ID, NAME, ARG, KIND, DOC) {NAME, ARG, DOC},
#define OPTION_KEY(ID, NAME, ARG, KEY, DOC) {NAME, ARG, DOC},
#define OPTION_ARG(ID, NAME, ARG, KIND, FIELD, OR, DOC) {NAME, ARG, DOC},
#define OPTION_TERM(ID, NAME, ARG, TERM, FIELD, DOC) {NAME, ARG, DOC},
#define OPTION_POLICY(ID, NAME, ARG, DOC) {NAME, ARG, DOC},
#include "elab/train_option.def"
};
enum { OPTIONS = sizeof train_options / sizeof *train_options };
const int train_option_count = OPTIONS;

/* What each of them is about. */
typedef struct OptionTarget {
    OptionKind option;
    int about; /* SectionValue of the call, SectionKeyId, or TrainCall */
    const char *field, *other;
} OptionTarget;
static const OptionTarget targets[OPTIONS] = {
#define OPTION_CALL(ID, NAME, ARG, KIND, DOC) {OPTION_IS_CALL, SV_##KIND, NULL, NULL},
#define OPTION_KEY(ID, NAME, ARG, KEY, DOC) {OPTION_IS_KEY, SECTION_TRAIN_##KEY, NULL, NULL},
#define OPTION_ARG(ID, NAME, ARG, KIND, FIELD, OR, DOC) {OPTION_IS_ARG, SV_##KIND, FIELD, OR},
#define OPTION_TERM(ID, NAME, ARG, TERM, FIELD, DOC) {OPTION_IS_TERM, TRAIN_##TERM, FIELD, NULL},
#define OPTION_POLICY(ID, NAME, ARG, DOC) {OPTION_IS_POLICY, 0, NULL, NULL},
#include "elab/train_option.def"
};

static const struct {
    const char *option, *word;
    TrainCall call;
    const char *flag;
} spellings[] = {
#define SPELLING(OPTION, WORD, ID, FLAG) {OPTION, WORD, TRAIN_##ID, FLAG},
#include "elab/train_option.def"
};

static const char *say(TrainSpec *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static const char *say(TrainSpec *s, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->why, sizeof s->why, fmt, ap);
    va_end(ap);
    return s->why;
}

/* The whole text as a number. */
static bool read_number(const char *text, SectionValue type, double *out)
{
    char *end;
    errno = 0;
    if (type == SV_INT) {
        long long i = strtoll(text, &end, 10);
        *out = (double)i;
    } else {
        *out = strtod(text, &end);
    }
    return end != text && *end == '\0' && errno == 0 && isfinite(*out);
}

static const char *set_number(TrainSpec *s, const char *name, const char *text, SectionValue type,
                              SectionRangeId range, void *field)
{
    double v;
    if (!read_number(text, type, &v))
        return say(s, "--%s takes a %snumber, not '%.40s'", name, type == SV_INT ? "whole " : "",
                   text);
    if (!section_in_range(range, v))
        return say(s, "--%s must be %s, not %.40s: %s", name, section_range[range].text, text,
                   section_range[range].help);
    train_set_number(field, type, v);
    return NULL;
}

/* "a, b, c" into a text that has room for a line. */
static void add_name(char *list, size_t size, const char *name)
{
    size_t n = strlen(list);
    if (n < size)
        snprintf(list + n, size - n, "%s%s", n > 0 ? ", " : "", name);
}

static const char *unknown_call(TrainSpec *s, const char *option, SectionValue kind,
                                const char *word)
{
    const char *names[SECTION_ROWS];
    char list[120] = "";
    size_t n = 0;
    for (int i = 0; i < SECTION_ROWS; i++)
        if (section_row[i].is_call && section_row[i].value == kind)
            add_name(list, sizeof list, names[n++] = section_row[i].name);
    const char *near = intern_nearest(word, names, n);
    return near != NULL
               ? say(s, "--%s: there is no '%.40s'; did you mean '%s'?", option, word, near)
               : say(s, "--%s: there is no '%.40s'; known are %s", option, word, list);
}

/* Another optimizer keeps the rate, another schedule the warm-up; the rest is other for every one
 * and starts from its defaults. */
static void change_optimizer(OptimizerSpec *o, TrainCall call)
{
    OptimizerSpec old = *o;
    train_fill(call, o);
    o->lr = old.lr;
}

static void change_schedule(ScheduleSpec *c, TrainCall call)
{
    ScheduleSpec old = *c;
    train_fill(call, c);
    c->warmup = old.warmup;
    c->warmup_lr = old.warmup_lr;
}

static const char *choose(TrainSpec *s, const char *option, SectionValue kind, const char *word)
{
    int row = section_find(kind, word);
    TrainCall call = row >= 0 ? train_call(row) : TRAIN_NONE;
    const char *flag = NULL;
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (strcmp(spellings[i].option, option) == 0 && strcmp(spellings[i].word, word) == 0) {
            call = spellings[i].call;
            flag = spellings[i].flag;
        }
    if (call == TRAIN_NONE)
        return unknown_call(s, option, kind, word);
    if (kind == SV_OPTIMIZER && s->optimizer.kind != call)
        change_optimizer(&s->optimizer, call);
    if (kind == SV_SCHEDULE && s->schedule.kind != call)
        change_schedule(&s->schedule, call);
    if (flag != NULL)
        *(bool *)train_field(&s->optimizer, section_arg(train_row(call), flag)) = true;
    return NULL;
}

/* The row of the argument that an option sets, -1 when the call takes none such. */
static int arg_row(TrainCall call, const OptionTarget *t)
{
    int row = section_arg(train_row(call), t->field);
    return row < 0 && t->other != NULL ? section_arg(train_row(call), t->other) : row;
}

static const char *not_taken(TrainSpec *s, const char *name, TrainCall call)
{
    char list[120] = "";
    int row = train_row(call), n = section_arg_count(row);
    for (int i = row + 1; i <= row + n; i++)
        add_name(list, sizeof list, section_row[i].name);
    return say(s, "--%s means nothing to %s, which takes %s", name, section_row[row].name, list);
}

static const char *set_arg(TrainSpec *s, const char *name, const OptionTarget *t, const char *text)
{
    bool loss = t->about == SV_LOSS, taken = false;
    uint32_t n = loss ? s->loss_count : 1;
    for (uint32_t i = 0; i < n; i++) {
        void *spec = loss                       ? (void *)&s->loss[i]
                     : t->about == SV_OPTIMIZER ? (void *)&s->optimizer
                                                : (void *)&s->schedule;
        int row = arg_row(*(TrainCall *)spec, t);
        if (row < 0)
            continue;
        taken = true;
        const char *why = set_number(s, name, text, section_row[row].value, section_row[row].range,
                                     train_field(spec, row));
        if (why != NULL)
            return why;
    }
    TrainCall call = loss                       ? s->loss[0].kind
                     : t->about == SV_OPTIMIZER ? s->optimizer.kind
                                                : s->schedule.kind;
    return taken ? NULL : not_taken(s, name, call);
}

/* Places in the chain, from 0 on; the length where it is not. */
static uint32_t find_term(const TrainSpec *s, TrainCall call)
{
    uint32_t i = 0;
    while (i < s->augment_count && s->augment[i].kind != call)
        i++;
    return i;
}

static void remove_term(TrainSpec *s, TrainCall call)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->augment_count; i++)
        if (s->augment[i].kind != call)
            s->augment[kept++] = s->augment[i];
    s->augment_count = kept;
}

/* In place of the one there is, else after the last that section.def lists before it. */
static const char *put_term(TrainSpec *s, const AugmentSpec *a)
{
    uint32_t at = find_term(s, a->kind);
    if (at < s->augment_count) {
        s->augment[at] = *a;
        return NULL;
    }
    if (s->augment_count == TRAIN_AUGMENTS)
        return say(s, "there are %d augmentations already, no more fit", TRAIN_AUGMENTS);
    while (at > 0 && s->augment[at - 1].kind > a->kind)
        at--;
    memmove(&s->augment[at + 1], &s->augment[at], (s->augment_count - at) * sizeof *a);
    s->augment[at] = *a;
    s->augment_count++;
    return NULL;
}

static const char *set_term(TrainSpec *s, const char *name, const OptionTarget *t, const char *text)
{
    TrainCall call = (TrainCall)t->about;
    uint32_t at = find_term(s, call);
    int row = train_row(call), n = section_arg_count(row);
    double zero;
    AugmentSpec a = {0};
    if (read_number(text, SV_REAL, &zero) && zero == 0) {
        remove_term(s, call);
        return NULL;
    }
    if (at < s->augment_count)
        a = s->augment[at];
    else
        train_fill(call, &a);
    for (int i = row + 1; i <= row + n; i++) {
        if (strcmp(t->field, "*") != 0 && strcmp(t->field, section_row[i].name) != 0)
            continue;
        const char *why = set_number(s, name, text, section_row[i].value, section_row[i].range,
                                     train_field(&a, i));
        if (why != NULL)
            return why;
    }
    return put_term(s, &a);
}

/* One part of timm's rand-m9-mstd0.5-n2-p0.5-inc1; false when it is not understood. The operations
 * here are those of inc1: all grow with the magnitude. */
static bool rand_part(AugmentSpec *a, char *part)
{
    static const struct {
        const char *letters, *field;
    } parts[] = {{"mstd", "std"}, {"m", "magnitude"}, {"n", "ops"}, {"p", "p"}};
    if (strcmp(part, "inc1") == 0)
        return true;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        size_t n = strlen(parts[i].letters);
        int row = section_arg(train_row(TRAIN_RAND_AUGMENT), parts[i].field);
        double v;
        if (strncmp(part, parts[i].letters, n) != 0)
            continue;
        if (!read_number(part + n, section_row[row].value, &v) ||
            !section_in_range(section_row[row].range, v))
            return false;
        train_set_number(train_field(a, row), section_row[row].value, v);
        return true;
    }
    return false;
}

static const char *set_policy(TrainSpec *s, const char *name, const char *text)
{
    AugmentSpec a = {0};
    char copy[64], *rest = NULL;
    const char *policy = section_word("policy", 0);
    for (int i = 0; policy != NULL && strcmp(policy, text) != 0; i++)
        policy = section_word("policy", i + 1);
    if (policy != NULL) {
        train_fill(TRAIN_AUTO_AUGMENT, &a);
        a.policy = policy;
    } else if (strncmp(text, "rand-", 5) == 0 && strlen(text) < sizeof copy) {
        snprintf(copy, sizeof copy, "%s", text + 5);
        train_fill(TRAIN_RAND_AUGMENT, &a);
        for (char *part = strtok_r(copy, "-", &rest); part; part = strtok_r(NULL, "-", &rest))
            if (!rand_part(&a, part))
                return say(s,
                           "--%s: '%.40s' is not understood; rand-m9-mstd0.5-n2-p0.5 has all "
                           "there can be",
                           name, part);
        if (isnan(a.magnitude))
            return say(s, "--%s: '%.40s' needs a magnitude, as in rand-m9", name, text);
    } else if (strcmp(text, "none") != 0) {
        return say(s, "--%s takes v0, rand-m9-mstd0.5-n2-p0.5 or none, not '%.40s'", name, text);
    }
    remove_term(s, policy != NULL ? TRAIN_RAND_AUGMENT : TRAIN_AUTO_AUGMENT);
    if (strcmp(text, "none") == 0) {
        remove_term(s, TRAIN_RAND_AUGMENT);
        return NULL;
    }
    return put_term(s, &a);
}

const char *train_spec_set(TrainSpec *s, const char *name, const char *value)
{
    const char *names[OPTIONS];
    int i = 0;
    while (i < OPTIONS && strcmp(train_options[i].name, name) != 0) {
        names[i] = train_options[i].name;
        i++;
    }
    if (i == OPTIONS) {
        const char *near = intern_nearest(name, names, OPTIONS);
        return say(s, "training has no option '%.40s'%s%s%s", name,
                   near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                   near != NULL ? "'?" : "");
    }
    const OptionTarget *t = &targets[i];
    switch (t->option) {
    case OPTION_IS_CALL: return choose(s, name, (SectionValue)t->about, value);
    case OPTION_IS_KEY: {
        const SectionKey *k = &section_key[t->about];
        return set_number(s, name, value, k->value, k->range,
                          train_key_field(s, (SectionKeyId)t->about));
    }
    case OPTION_IS_ARG: return set_arg(s, name, t, value);
    case OPTION_IS_TERM: return set_term(s, name, t, value);
    case OPTION_IS_POLICY: return set_policy(s, name, value);
    }
    return NULL;
}

/* The option that sets an argument of this kind of call. */
static const char *option_for(SectionValue kind, const char *field)
{
    for (int i = 0; i < OPTIONS; i++)
        if (targets[i].option == OPTION_IS_ARG && targets[i].about == (int)kind &&
            strcmp(targets[i].field, field) == 0)
            return train_options[i].name;
    return field;
}

const char *train_spec_check(TrainSpec *s)
{
    struct {
        void *spec;
        TrainCall call;
    } calls[] = {{&s->optimizer, s->optimizer.kind}, {&s->schedule, s->schedule.kind}};
    for (int k = 0; k < 2; k++) {
        int row = train_row(calls[k].call), n = section_arg_count(row);
        for (int i = row + 1; i <= row + n; i++)
            if (section_row[i].value == SV_REAL &&
                isnan(train_number(train_field(calls[k].spec, i), SV_REAL)))
                return say(s, "%s needs --%s", section_row[row].name,
                           option_for(section_row[row].value, section_row[i].name));
    }
    if (s->optimizer.nesterov && s->optimizer.momentum == 0)
        return say(s, "nesterov needs a momentum above 0, such as 0.9");
    return NULL;
}
