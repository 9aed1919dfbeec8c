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

/* tied[k]: the operand that begins as result k, or 0: "=f,=f,0,1,l". */
static void find_tied(const char *constraints, unsigned results, int64_t *tied)
{
    int64_t index = 0;
    for (const char *at = constraints; *at; index++) {
        unsigned long k = strtoul(at, NULL, 10);
        if (isdigit((unsigned char)*at) && k < results && k < ASM_OPERANDS)
            tied[k] = index;
        at += strcspn(at, ",");
        at += *at == ',';
    }
}

static void read_number(const char **at, unsigned results, int64_t *tied, Assembly *a)
{
    char *after;
    int64_t k = strtol(*at + 1, &after, 10);
    *at = after;
    if (k >= results) {
        add(a, false, k);
    } else if (k < ASM_OPERANDS && tied[k]) {
        add(a, false, tied[k]);
        tied[k] = 0; /* it has been named */
    }
}

/* "m64n128k16.f32.bf16.bf16" */
static int wgmma_variant(const char *text)
{
    const char *n = strstr(text, "aligned.m64n");
    int type = strstr(text, ".bf16.bf16") ? WGMMA_BF16
               : strstr(text, ".f16.f16") ? WGMMA_F16
                                          : WGMMA_TF32;
    return (n ? (int)strtol(n + strlen("aligned.m64n"), NULL, 10) : 0) | type << WGMMA_TYPE;
}

bool assembly_read(const char *text, const char *constraints, unsigned results, Assembly *a)
{
    const char *at;
    const struct Row *row = find(text, &at);
    int64_t predicate, tied[ASM_OPERANDS] = {0};
    if (!row)
        return false;
    *a = (Assembly){.run = row->run, .variant = row->variant};
    if (row->run == op_wgmma)
        a->variant = wgmma_variant(text);
    find_tied(constraints, results, tied);
    while (*at && *at != ';') {
        char *after = NULL;
        if (*at == '$') {
            read_number(&at, results, tied, a);
            continue;
        }
        if (isdigit((unsigned char)*at) || (*at == '-' && isdigit((unsigned char)at[1]))) {
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
    for (unsigned k = 0; k < results && k < ASM_OPERANDS; k++)
        if (tied[k])
            add(a, false, tied[k]);
    return true;
}
