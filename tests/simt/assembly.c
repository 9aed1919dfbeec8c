#include "assembly.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const struct Row {
    const char *opcode;
    Operation *run;
    int variant;
} rows[] = {
#define ASM(opcode, function, variant) {opcode, op_##function, variant},
#include "asm.def"
#undef ASM
};

/* The statement with the opcode: from it to the next semicolon. */
static const struct Row *find(const char *text, const char **operands)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *at = strstr(text, rows[i].opcode);
        if (!at)
            continue;
        while (*at && !isspace((unsigned char)*at) && *at != ';')
            at++;
        *operands = at;
        return &rows[i];
    }
    return NULL;
}

/* "setp.ne.b32 p, $3, 0;": the predicate is operand 3. */
static bool find_predicate(const char *text, int64_t *operand)
{
    const char *at = strstr(text, "setp.");
    const char *end = at ? strchr(at, ';') : NULL;
    const char *dollar = at ? strchr(at, '$') : NULL;
    if (!dollar || !end || dollar > end)
        return false;
    *operand = strtol(dollar + 1, NULL, 10);
    return true;
}

static void add(Assembly *a, bool literal, int64_t value)
{
    if (a->n < ASM_OPERANDS)
        a->operand[a->n++] = (AsmOperand){literal, value};
}

bool assembly_read(const char *text, unsigned results, Assembly *a)
{
    const char *at;
    const struct Row *row = find(text, &at);
    int64_t predicate;
    if (!row)
        return false;
    *a = (Assembly){.run = row->run, .variant = row->variant};
    while (*at && *at != ';') {
        char *after = NULL;
        if (*at == '$') {
            int64_t k = strtol(at + 1, &after, 10);
            if (k >= results)
                add(a, false, k);
        } else if (isdigit((unsigned char)*at) || (*at == '-' && isdigit((unsigned char)at[1]))) {
            add(a, true, strtoll(at, &after, 0));
        } else if (isalpha((unsigned char)*at)) {
            if (find_predicate(text, &predicate))
                add(a, false, predicate);
            while (isalnum((unsigned char)*at) || *at == '_')
                at++;
            continue;
        }
        at = after ? after : at + 1;
    }
    return true;
}
