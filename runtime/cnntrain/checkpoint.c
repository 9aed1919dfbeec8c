/* Writing of checkpoints. The header is built, then read by the parser that will read it later, so
 * that nothing is written which could not be loaded. */
#include "cnntrain/checkpoint.h"
#include "cnnrt.h"
#include "cnnrt/hash.h"
#include "cnntrain/checkpoint_file.h"
#include "cnntrain/file.h"
#include "cnntrain/text.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void cnntrain_checkpoint_digits(char out[CNNTRAIN_DIGITS + 1], uint64_t hash)
{
    snprintf(out, CNNTRAIN_DIGITS + 1, "%016" PRIx64, hash);
}

static bool refuse(char message[CNNTRAIN_MESSAGE], const char *path, const char *what)
{
    snprintf(message, CNNTRAIN_MESSAGE, "%.300s: not written: %s", path, what);
    return false;
}

/* Bytes of a tensor, or false when its dimensions are none. */
static bool tensor_bytes(const CnntrainTensor *t, size_t *bytes)
{
    *bytes = sizeof(float);
    if (t->name == NULL || t->ndim < 0 || t->ndim > CNNTRAIN_MAX_DIMS)
        return false;
    for (int i = 0; i < t->ndim; i++)
        if (t->dims[i] < 0 || __builtin_mul_overflow(*bytes, (uint64_t)t->dims[i], bytes))
            return false;
    return *bytes == 0 || t->data != NULL;
}

static bool reserved(const char *key)
{
    return strcmp(key, "header_xxh64") == 0 || strcmp(key, CNNTRAIN_DATA_KEY) == 0 ||
           strcmp(key, "format") == 0;
}

static void put_tensor(CnntrainText *head, const CnntrainTensor *t, uint64_t begin, uint64_t end)
{
    cnntrain_text_add(head, ",");
    cnntrain_text_json(head, t->name);
    cnntrain_text_add(head, ":{\"dtype\":\"F32\",\"shape\":[");
    for (int d = 0; d < t->ndim; d++)
        cnntrain_text_printf(head, "%s%" PRId64, d > 0 ? "," : "", t->dims[d]);
    cnntrain_text_printf(head, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", begin, end);
}

/* The header, padded to a multiple of 8, with its checksum. false with what is wrong. */
static bool build_header(CnntrainText *head, const CnntrainTensor *tensors, size_t count,
                         const CnntrainPair *pairs, size_t pair_count, char wrong[CNNRT_ST_MESSAGE])
{
    char digits[CNNTRAIN_DIGITS + 1];
    const size_t digits_at = strlen(CNNTRAIN_HEADER_START);
    CnnrtHash hash;
    uint64_t at = 0;
    cnnrt_hash_begin(&hash);
    for (size_t i = 0; i < count; i++) {
        size_t bytes;
        if (!tensor_bytes(&tensors[i], &bytes)) {
            snprintf(wrong, CNNRT_ST_MESSAGE, "tensor %zu has no valid name, shape or data", i);
            return false;
        }
        cnnrt_hash_add(&hash, tensors[i].data, bytes);
    }
    cnntrain_text_add(head,
                      CNNTRAIN_HEADER_START "0000000000000000\",\"" CNNTRAIN_DATA_KEY "\":\"");
    cnntrain_checkpoint_digits(digits, cnnrt_hash_value(&hash));
    cnntrain_text_add(head, digits);
    cnntrain_text_add(head, "\",\"format\":\"pt\"");
    for (size_t i = 0; i < pair_count; i++) {
        if (reserved(pairs[i].key)) {
            snprintf(wrong, CNNRT_ST_MESSAGE, "the key '%s' is reserved", pairs[i].key);
            return false;
        }
        cnntrain_text_add(head, ",");
        cnntrain_text_json(head, pairs[i].key);
        cnntrain_text_add(head, ":");
        cnntrain_text_json(head, pairs[i].value);
    }
    cnntrain_text_add(head, "}");
    for (size_t i = 0; i < count; i++) {
        size_t bytes;
        tensor_bytes(&tensors[i], &bytes);
        put_tensor(head, &tensors[i], at, at + bytes);
        at += bytes;
    }
    cnntrain_text_add(head, "}");
    while (head->len % 8 != 0 && !head->failed)
        cnntrain_text_add(head, " ");
    if (head->failed || head->len > CNNRT_ST_MAX_HEADER) {
        snprintf(wrong, CNNRT_ST_MESSAGE, "%s",
                 head->failed ? "out of memory" : "the names make a header of more than 100 MB");
        return false;
    }
    cnntrain_checkpoint_digits(digits, cnnrt_hash(head->at, head->len));
    memcpy(head->at + digits_at, digits, CNNTRAIN_DIGITS);
    CnnrtSt st;
    if (!cnnrt_st_parse(&st, head->at, head->len, at, wrong))
        return false;
    cnnrt_st_free(&st);
    return true;
}

bool cnntrain_checkpoint_save(const char *path, const CnntrainTensor *tensors, size_t count,
                              const CnntrainPair *pairs, size_t pair_count, bool keep,
                              char message[CNNTRAIN_MESSAGE])
{
    char wrong[CNNRT_ST_MESSAGE];
    CnntrainText head = {0};
    CnntrainFile f;
    unsigned char size[CNNRT_ST_PREFIX];
    if (!build_header(&head, tensors, count, pairs, pair_count, wrong)) {
        cnntrain_text_free(&head);
        return refuse(message, path, wrong);
    }
    if (!cnntrain_file_create(&f, path, message)) {
        cnntrain_text_free(&head);
        return false;
    }
    for (int i = 0; i < CNNRT_ST_PREFIX; i++)
        size[i] = (unsigned char)(head.len >> (8 * i));
    bool good = cnntrain_file_write(&f, size, sizeof size, message) &&
                cnntrain_file_write(&f, head.at, head.len, message);
    for (size_t i = 0; good && i < count; i++) {
        size_t bytes;
        tensor_bytes(&tensors[i], &bytes);
        good = cnntrain_file_write(&f, tensors[i].data, bytes, message);
    }
    cnntrain_text_free(&head);
    if (good)
        return cnntrain_file_commit(&f, keep, message);
    cnntrain_file_abandon(&f);
    return false;
}
