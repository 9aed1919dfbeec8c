/* The rows of section.def. */
#include "sema/section.h"
#include <string.h>

const SectionRange section_range[RANGE_COUNT_] = {
#define RANGE(ID, LO, LO_IN, HI, HI_IN, TEXT, HELP)                                                \
    [RANGE_##ID] = {LO, HI, LO_IN, HI_IN, TEXT, HELP},
#include "sema/section.def"
};

#define NONE NAN
#define REQUIRED NAN
const SectionKey section_key[SECTION_KEYS] = {
#define KEY(SECTION, NAME, VALUE, DEFAULT, RANGE)                                                  \
    {SECTION_##SECTION, #NAME, SV_##VALUE, DEFAULT, RANGE_##RANGE},
#include "sema/section.def"
};

const SectionRow section_row[SECTION_ROWS] = {
#define CALL(KIND, ID, NAME, DOC) {true, SV_##KIND, NAME, NAN, RANGE_ANY},
#define ARG(KIND, NAME, TYPE, DEFAULT, RANGE) {false, SV_##TYPE, #NAME, DEFAULT, RANGE_##RANGE},
#include "sema/section.def"
};

static const struct {
    const char *key, *text;
} words[] = {
#define WORD(KEY, TEXT) {KEY, TEXT},
#include "sema/section.def"
};

bool section_in_range(SectionRangeId range, double v)
{
    const SectionRange *r = &section_range[range];
    return (r->lo_in ? v >= r->lo : v > r->lo) && (r->hi_in ? v <= r->hi : v < r->hi);
}

int section_call(int n)
{
    int at = 0;
    while (n > 0)
        n -= section_row[++at].is_call;
    return at;
}

int section_find(SectionValue kind, const char *name)
{
    for (int i = 0; i < SECTION_ROWS; i++)
        if (section_row[i].is_call && section_row[i].value == kind &&
            strcmp(section_row[i].name, name) == 0)
            return i;
    return -1;
}

int section_arg_count(int call)
{
    int n = 0;
    while (call + 1 + n < SECTION_ROWS && !section_row[call + 1 + n].is_call)
        n++;
    return n;
}

int section_arg(int call, const char *name)
{
    int n = section_arg_count(call);
    for (int i = call + 1; i <= call + n; i++)
        if (strcmp(section_row[i].name, name) == 0)
            return i;
    return -1;
}

const char *section_word(const char *key, int i)
{
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        if (strcmp(words[k].key, key) == 0 && i-- == 0)
            return words[k].text;
    return NULL;
}

bool section_takes(const char *key, const char *text)
{
    const char *word;
    for (int i = 0; (word = section_word(key, i)) != NULL; i++)
        if (strcmp(word, text) == 0)
            return true;
    return section_word(key, 0) == NULL;
}
