/* Every prefix of a source, and every source with one word less, through the front end
 * (fuzz_front.c says what it promises). prefixes STEP FILE...: every STEP-th case only. A case may
 * take a second. */
#include "fuzz.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

enum { MOST = 1 << 20 };

static size_t word_end(const char *text, size_t at, size_t len)
{
    size_t from = at;
    while (at < len && (isalnum((unsigned char)text[at]) || text[at] == '_'))
        at++;
    return at > from ? at : at + 1;
}

static long try_all(const char *text, size_t len, long step, long *count)
{
    static char copy[MOST];
    long tried = 0;
    for (size_t at = 0; at <= len; at++) {
        size_t end = at < len ? word_end(text, at, len) : at;
        bool word = at < len && !isspace((unsigned char)text[at]);
        for (int kind = 0; kind < 2; kind++) {
            if ((kind == 1 && !word) || (*count)++ % step != 0)
                continue;
            size_t rest = kind == 0 ? 0 : len - end;
            memcpy(copy, text, at);
            memcpy(copy + at, text + end, rest);
            alarm(2);
            LLVMFuzzerTestOneInput((const uint8_t *)copy, at + rest);
            alarm(0);
            tried++;
        }
        if (word)
            at = end - 1;
    }
    return tried;
}

int main(int argc, char **argv)
{
    long step = argc > 1 ? strtol(argv[1], NULL, 10) : 1, tried = 0, count = 0;
    for (int i = 2; i < argc; i++) {
        static char text[MOST];
        FILE *f = fopen(argv[i], "rb");
        if (f == NULL || step < 1)
            return 3;
        size_t len = fread(text, 1, sizeof text, f);
        fclose(f);
        FUZZ_CHECK(len < sizeof text);
        fprintf(stderr, "%s\n", argv[i]);
        tried += try_all(text, len, step, &count);
    }
    printf("%ld\n", tried);
    return 0;
}
