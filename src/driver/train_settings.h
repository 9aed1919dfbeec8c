/* How a net is trained: its section, and what the command line changes. */
#ifndef CNNC_TRAIN_SETTINGS_H
#define CNNC_TRAIN_SETTINGS_H
#include "driver/front.h"
#include "elab/train_spec.h"

/* Evaluates the train section and applies --set NAME=VALUE, in the order that train_options has.
 * EXIT_FINE; EXIT_REFUSED when the section does not fit the net, EXIT_USAGE when an option is
 * wrong, both reported. */
int train_settings(Run *r, const Net *n, TrainSpec *s);
/* summary --train: prints them. */
int train_settings_show(Run *r, const Net *n);
#endif
