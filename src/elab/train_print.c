/* A TrainSpec as text that reads back, and as JSON. */
#include "elab/train_table.h"
#include <inttypes.h>
#include <string.h>

/* As .cnn and JSON have it: both know true and false, and numbers alike. */
static void print_value(const void *field, SectionValue type, Buf *out)
{
    switch (type) {
    case SV_INT: buf_printf(out, "%" PRId64, *(const int64_t *)field); break;
    case SV_BOOL: buf_add(out, *(const bool *)field ? "true" : "false"); break;
    case SV_REAL: buf_real(out, *(const double *)field); break;
    default: buf_json_string(out, *(const char *const *)field); break;
    }
}

/* spec: of the call's kind; only read. */
static void print_call(TrainCall call, void *spec, Buf *out)
{
    int row = train_row(call), n = section_arg_count(row);
    buf_printf(out, "%s(", section_row[row].name);
    for (int i = row + 1; i <= row + n; i++) {
        const SectionRow *r = &section_row[i];
        buf_add(out, i > row + 1 ? ", " : "");
        if (r->value == SV_HEAD) {
            buf_add(out, *(const char **)train_field(spec, i));
            continue;
        }
        buf_printf(out, "%s=", r->name);
        print_value(train_field(spec, i), r->value, out);
    }
    buf_addc(out, ')');
}

static void print_key(TrainSpec *s, SectionKeyId key, Buf *out)
{
    const SectionKey *k = &section_key[key];
    if (k->value == SV_AUGMENT && s->augment_count == 0)
        return;
    buf_printf(out, "  %-10s = ", k->name);
    switch (k->value) {
    case SV_LOSS:
        for (uint32_t i = 0; i < s->loss_count; i++) {
            buf_add(out, i > 0 ? " + " : "");
            if (s->loss[i].weight != 1) {
                buf_real(out, s->loss[i].weight);
                buf_add(out, " * ");
            }
            print_call(s->loss[i].kind, &s->loss[i], out);
        }
        break;
    case SV_OPTIMIZER: print_call(s->optimizer.kind, &s->optimizer, out); break;
    case SV_SCHEDULE: print_call(s->schedule.kind, &s->schedule, out); break;
    case SV_AUGMENT:
        for (uint32_t i = 0; i < s->augment_count; i++) {
            buf_add(out, i > 0 ? "\n    -> " : "");
            print_call(s->augment[i].kind, &s->augment[i], out);
        }
        break;
    default: print_value(train_key_field(s, key), k->value, out); break;
    }
    buf_addc(out, '\n');
}

void train_spec_print(const TrainSpec *s, Buf *out)
{
    TrainSpec copy = *s;
    buf_add(out, "train {\n");
    for (int k = 0; k < SECTION_KEYS; k++)
        if (section_key[k].section == SECTION_TRAIN)
            print_key(&copy, (SectionKeyId)k, out);
    buf_add(out, "}\n");
}

static void json_call(TrainCall call, void *spec, const double *weight, Buf *out)
{
    int row = train_row(call), n = section_arg_count(row);
    buf_printf(out, "{\"call\":\"%s\"", section_row[row].name);
    if (weight != NULL) {
        buf_add(out, ",\"weight\":");
        buf_real(out, *weight);
    }
    for (int i = row + 1; i <= row + n; i++) {
        buf_printf(out, ",\"%s\":", section_row[i].name);
        print_value(train_field(spec, i), section_row[i].value, out);
    }
    buf_addc(out, '}');
}

static void json_key(TrainSpec *s, SectionKeyId key, Buf *out)
{
    switch (section_key[key].value) {
    case SV_LOSS:
        for (uint32_t i = 0; i < s->loss_count; i++) {
            buf_addc(out, i > 0 ? ',' : '[');
            json_call(s->loss[i].kind, &s->loss[i], &s->loss[i].weight, out);
        }
        buf_addc(out, ']');
        break;
    case SV_OPTIMIZER: json_call(s->optimizer.kind, &s->optimizer, NULL, out); break;
    case SV_SCHEDULE: json_call(s->schedule.kind, &s->schedule, NULL, out); break;
    case SV_AUGMENT:
        buf_addc(out, '[');
        for (uint32_t i = 0; i < s->augment_count; i++) {
            buf_add(out, i > 0 ? "," : "");
            json_call(s->augment[i].kind, &s->augment[i], NULL, out);
        }
        buf_addc(out, ']');
        break;
    default: print_value(train_key_field(s, key), section_key[key].value, out); break;
    }
}

void train_spec_json(const TrainSpec *s, Buf *out)
{
    TrainSpec copy = *s;
    buf_printf(out, "{\"declared\":%s", s->declared ? "true" : "false");
    for (int k = 0; k < SECTION_KEYS; k++) {
        if (section_key[k].section != SECTION_TRAIN)
            continue;
        buf_printf(out, ",\"%s\":", section_key[k].name);
        json_key(&copy, (SectionKeyId)k, out);
    }
    buf_addc(out, '}');
}
