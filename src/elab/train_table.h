/* Inside: the rows of section.def and the fields of a TrainSpec that they are about. */
#ifndef CNNC_TRAIN_TABLE_H
#define CNNC_TRAIN_TABLE_H
#include "elab/train_spec.h"
#include "sema/section.h"

/* The row of a call, and the call of a row. */
int train_row(TrainCall call);
TrainCall train_call(int row);
/* The field of an argument in the spec of its call (LossSpec ... AugmentSpec), whose `kind` takes
 * it; of a key of the section. */
void *train_field(void *spec, int row);
void *train_key_field(TrainSpec *s, SectionKeyId key);
/* Integers and truth values are numbers, too; texts are none. */
double train_number(const void *field, SectionValue type);
void train_set_number(void *field, SectionValue type, double v);
/* Makes *spec, of the kind of call that `call` is, that call with its defaults; numbers without a
 * default are NAN. */
void train_fill(TrainCall call, void *spec);
/* Every key's default, and what section.def presets for those that are made of calls; the loss is
 * the cross entropy of head `output`. */
void train_defaults(TrainSpec *s, const char *head, uint32_t output);
#endif
