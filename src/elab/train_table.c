/* From rows of section.def to fields, and the defaults. */
#include "elab/train_table.h"
#include <string.h>

#define SPEC_LOSS LossSpec
#define SPEC_OPTIMIZER OptimizerSpec
#define SPEC_SCHEDULE ScheduleSpec
#define SPEC_AUGMENT AugmentSpec

static const size_t field_at[SECTION_ROWS] = {
#define CALL(KIND, ID, NAME, DOC) 0,
#define ARG(KIND, NAME, TYPE, DEFAULT, RANGE) offsetof(SPEC_##KIND, NAME),
#include "sema/section.def"
};

#define KEY_TRAIN(NAME) offsetof(TrainSpec, NAME)
#define KEY_REFINE(NAME) 0
static const size_t key_at[SECTION_KEYS] = {
#define KEY(SECTION, NAME, VALUE, DEFAULT, RANGE) KEY_##SECTION(NAME),
#include "sema/section.def"
};

static const size_t spec_size[TRAIN_CALL_COUNT] = {
#define CALL(KIND, ID, NAME, DOC) [TRAIN_##ID] = sizeof(SPEC_##KIND),
#include "sema/section.def"
};

static const struct {
    SectionValue kind;
    TrainCall call;
    const char *arg;
    double value;
} presets[] = {
#define PRESET(KIND, ID, ARGUMENT, VALUE) {SV_##KIND, TRAIN_##ID, #ARGUMENT, VALUE},
#include "sema/section.def"
};

int train_row(TrainCall call)
{
    return section_call((int)call - 1);
}

TrainCall train_call(int row)
{
    int call = TRAIN_NONE;
    for (int i = 0; i <= row; i++)
        call += section_row[i].is_call;
    return (TrainCall)call;
}

void *train_field(void *spec, int row)
{
    return (char *)spec + field_at[row];
}

void *train_key_field(TrainSpec *s, SectionKeyId key)
{
    return (char *)s + key_at[key];
}

double train_number(const void *field, SectionValue type)
{
    switch (type) {
    case SV_INT: return (double)*(const int64_t *)field;
    case SV_REAL: return *(const double *)field;
    case SV_BOOL: return *(const bool *)field;
    default: return NAN;
    }
}

void train_set_number(void *field, SectionValue type, double v)
{
    if (type == SV_INT)
        *(int64_t *)field = (int64_t)v;
    else if (type == SV_REAL)
        *(double *)field = v;
    else if (type == SV_BOOL)
        *(bool *)field = v != 0;
}

void train_fill(TrainCall call, void *spec)
{
    int row = train_row(call), n = section_arg_count(row);
    memset(spec, 0, spec_size[call]);
    *(TrainCall *)spec = call; /* every spec begins with its kind */
    for (int i = row + 1; i <= row + n; i++)
        if (section_row[i].value == SV_REAL || !isnan(section_row[i].def))
            train_set_number(train_field(spec, i), section_row[i].value, section_row[i].def);
}

void train_defaults(TrainSpec *s, const char *head, uint32_t output)
{
    *s = (TrainSpec){.loss_count = 1};
    for (int k = 0; k < SECTION_KEYS; k++)
        if (section_key[k].section == SECTION_TRAIN && !isnan(section_key[k].def))
            train_set_number(train_key_field(s, (SectionKeyId)k), section_key[k].value,
                             section_key[k].def);
    train_fill(TRAIN_CROSS_ENTROPY, &s->loss[0]);
    s->loss[0].head = head;
    s->loss[0].output = output;
    s->loss[0].weight = 1;
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        void *spec = presets[i].kind == SV_OPTIMIZER ? (void *)&s->optimizer : (void *)&s->schedule;
        int row = section_arg(train_row(presets[i].call), presets[i].arg);
        if (*(TrainCall *)spec == TRAIN_NONE)
            train_fill(presets[i].call, spec);
        train_set_number(train_field(spec, row), section_row[row].value, presets[i].value);
    }
}
