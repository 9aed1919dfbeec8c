/* JSON (RFC 8259) in memory, read without building a tree: a text is checked once from end to end,
 * and then walked by functions that rely on that. Private to the run time. */
#ifndef CNNRT_JSON_H
#define CNNRT_JSON_H
#include <stddef.h>
#include <stdint.h>

typedef enum CnnrtJsonFault {
    CNNRT_JSON_FINE,
    CNNRT_JSON_INVALID, /* *why says how */
    CNNRT_JSON_DEEP,    /* more than `depth` lists and objects within each other */
    CNNRT_JSON_MANY     /* more than `marks` opening brackets and commas */
} CnnrtJsonFault;

/* Whether the n bytes are one value and nothing else. Strings must be UTF-8 without NUL, integers
 * fit an int64. *where is the offset of what is wrong, *why a constant text. */
CnnrtJsonFault cnnrt_json_check(const char *text, size_t n, int depth, size_t marks, size_t *where,
                                const char **why);

/* A place in a text that was checked. */
typedef struct CnnrtJson {
    const char *at, *end;
} CnnrtJson;

/* What the next value is: '{', '[', '"', '0' for numbers, 't', 'f' or 'n'. */
char cnnrt_json_kind(CnnrtJson *c);
/* Steps into a list or an object. */
void cnnrt_json_enter(CnnrtJson *c);
/* Whether another element or key follows; if not, the list or object has been left. */
int cnnrt_json_more(CnnrtJson *c);
/* A string, or an object's key with its colon; out (when not NULL) gets it NUL-terminated and must
 * hold the bytes between the quotes and one more. Returns the length. */
size_t cnnrt_json_string(CnnrtJson *c, char *out);
size_t cnnrt_json_key(CnnrtJson *c, char *out);
/* Steps over a value; 1 with *v when it is an integer. */
int cnnrt_json_integer(CnnrtJson *c, int64_t *v);
void cnnrt_json_skip(CnnrtJson *c);
#endif
