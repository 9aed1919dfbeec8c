#include "refine/refine.h"

const char *const refine_rule_name[RULE_COUNT] = {
#define RULE(ID, NAME, CLASS, DOC) NAME,
#include "refine/refine.def"
};
