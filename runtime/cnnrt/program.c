/* The main program of an executable built by cnnc: NumPy arrays in, NumPy arrays and a table out.
 * Linked only into executables; the linker binds cnnrt_program_model to the model. */
#define _GNU_SOURCE
#include "cnnrt.h"
#include "npy.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const CnnrtModel *cnnrt_program_model(void);

enum { EXIT_FINE, EXIT_REFUSED, EXIT_USAGE, EXIT_FILE, EXIT_MEMORY };

typedef struct Options {
    int threads, top;
    const char *output, *weights;
} Options;

static int64_t tensor_count(const CnnrtTensor *t)
{
    return t->c * t->h * t->w;
}

static void usage(FILE *f, const char *self, const CnnrtModel *m)
{
    fprintf(f,
            "usage: %s [--threads N] [--top K] [--output OUT.npy]%s INPUT.npy...\n"
            "Runs the network %s on float arrays of shape [n]",
            self, m->weights == NULL ? " [--weights FILE]" : "", m->name);
    fprintf(f, "[%lld][%lld][%lld] with n up to %d.\n", (long long)m->inputs[0].c,
            (long long)m->inputs[0].h, (long long)m->inputs[0].w, (int)m->max_batch);
    fprintf(f, "One array per network input (%lld). --output writes the last output.\n",
            (long long)m->input_count);
    if (m->weights == NULL && m->weights_file != NULL)
        fprintf(f, "The weights are in the file %s beside this program, or in --weights.\n",
                m->weights_file);
}

/* Stdin, or a regular file: a FIFO would wait for its writer, and a device might never end. */
static FILE *open_input(const char *path)
{
    struct stat st;
    if (strcmp(path, "-") == 0)
        return stdin;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const char *why = NULL;
    if (fd < 0 || fstat(fd, &st) != 0)
        why = strerror(errno);
    else if (!S_ISREG(st.st_mode))
        why = S_ISDIR(st.st_mode) ? "is a directory" : "is not a regular file";
    FILE *f = why == NULL ? fdopen(fd, "rb") : NULL;
    if (f == NULL) {
        fprintf(stderr, "%s: %s\n", path, why != NULL ? why : strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    return f;
}

/* The whole file in memory, of `most` bytes; NULL with a message printed. */
static unsigned char *read_file(const char *path, size_t most, size_t *len)
{
    FILE *f = open_input(path);
    unsigned char *data = NULL;
    const char *why = NULL;
    size_t used = 0, cap = 0;
    for (size_t got = 1; f != NULL && got > 0 && why == NULL; used += got) {
        if (used == cap) {
            size_t grown = cap == 0 ? 1 << 16 : cap * 2;
            unsigned char *p = used > most ? NULL : realloc(data, grown);
            got = 0;
            if (p == NULL) {
                why = used > most ? "is larger than any input of the network" : "out of memory";
                continue;
            }
            data = p;
            cap = grown;
        }
        got = fread(data + used, 1, cap - used, f);
        if (got == 0 && ferror(f))
            why = strerror(errno);
    }
    if (f != NULL && f != stdin)
        fclose(f);
    if (f != NULL && why == NULL) {
        *len = used;
        return data;
    }
    if (why != NULL)
        fprintf(stderr, "%s: %s\n", path, why);
    free(data);
    return NULL;
}

/* Reads one network input; its batch must agree with the others'. */
static float *read_input(const char *path, const CnnrtTensor *t, int max_batch, int *batch)
{
    /* elements take 8 bytes at most; a header is short, or else wrong */
    size_t len, most = (size_t)tensor_count(t) * (size_t)max_batch * 8 + (1 << 20);
    unsigned char *bytes = read_file(path, most, &len);
    if (bytes == NULL)
        return NULL;
    NpyHeader h;
    const char *err = cnnrt_npy_parse(bytes, len, &h);
    int lead = h.ndim - 3;
    int64_t n = err == NULL && lead == 1 ? h.dims[0] : 1;
    if (err == NULL && (lead < 0 || lead > 1 || h.dims[lead] != t->c || h.dims[lead + 1] != t->h ||
                        h.dims[lead + 2] != t->w))
        err = "the shape is not the network's input";
    else if (err == NULL && (n < 1 || n > max_batch))
        err = "the batch is outside what the network was built for";
    else if (err == NULL && *batch != 0 && *batch != n)
        err = "the batch differs from the first input's";
    float *data = err != NULL ? NULL : malloc((size_t)h.count * sizeof *data);
    if (data == NULL) {
        fprintf(stderr, "%s: %s\n", path, err != NULL ? err : "out of memory");
    } else {
        *batch = (int)n;
        for (int64_t i = 0; i < h.count; i++)
            data[i] = cnnrt_npy_element(bytes, &h, i);
    }
    free(bytes);
    return data;
}

static int write_array(FILE *f, const float *data, const CnnrtTensor *t, int batch)
{
    char head[256];
    int64_t dims[4] = {batch, t->c, t->h, t->w};
    size_t head_len = cnnrt_npy_format_header(head, sizeof head, dims, t->flat ? 2 : 4);
    size_t count = (size_t)(tensor_count(t) * batch);
    return fwrite(head, 1, head_len, f) == head_len &&
           fwrite(data, sizeof *data, count, f) == count && fflush(f) == 0;
}

/* The new file appears whole or not at all; a device is written, never replaced. */
static int write_output(const char *path, const float *data, const CnnrtTensor *t, int batch)
{
    struct stat st;
    int exists = stat(path, &st) == 0, beside = !exists || S_ISREG(st.st_mode);
    char *real = exists && beside ? realpath(path, NULL) : NULL, *tmp = NULL;
    const char *to = real != NULL ? real : path;
    if (beside && asprintf(&tmp, "%s.XXXXXX", to) < 0) {
        free(real);
        return EXIT_MEMORY;
    }
    int fd = beside ? mkostemp(tmp, O_CLOEXEC) : open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    FILE *f = fd < 0 ? NULL : fdopen(fd, "wb");
    mode_t mask = umask(0);
    umask(mask);
    int ok = f != NULL && write_array(f, data, t, batch);
    if (ok && beside)
        ok = fsync(fd) == 0 && fchmod(fd, exists ? st.st_mode & 07777 : 0666 & ~mask) == 0;
    int why = errno;
    if (f != NULL && fclose(f) != 0 && ok) {
        ok = 0;
        why = errno;
    }
    if (ok && beside && rename(tmp, to) != 0) {
        ok = 0;
        why = errno;
    }
    if (!ok) {
        fprintf(stderr, "%s: %s\n", path, strerror(why));
        if (fd >= 0 && beside)
            unlink(tmp);
    }
    free(tmp);
    free(real);
    return ok ? EXIT_FINE : EXIT_FILE;
}

static void print_top(const float *v, int64_t n, int image, int top)
{
    printf("image %d\n", image);
    double below = 1e300;
    int64_t last = -1;
    for (int k = 0; k < top && k < n; k++) {
        int64_t best = -1;
        for (int64_t i = 0; i < n; i++)
            if ((v[i] < below || (v[i] == below && i > last)) && (best < 0 || v[i] > v[best]))
                best = i;
        if (best < 0)
            break;
        printf("%6lld  %12.6f\n", (long long)best, (double)v[best]);
        below = v[best];
        last = best;
    }
}

/* The file of external weights beside the program, where build put it; malloc'ed. */
static char *weights_beside(const CnnrtModel *m)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0 || m->weights_file == NULL)
        return NULL;
    self[n] = '\0';
    char *slash = strrchr(self, '/'), *out = NULL;
    if (slash == NULL ||
        asprintf(&out, "%.*s%s", (int)(slash + 1 - self), self, m->weights_file) < 0)
        return NULL;
    return out;
}

/* What create takes: NULL when weights are embedded. */
static int open_weights(const CnnrtModel *m, const Options *o, const float **weights)
{
    if (m->weights != NULL || m->weight_floats == 0)
        return EXIT_FINE;
    char *beside = o->weights == NULL ? weights_beside(m) : NULL;
    const char *path = o->weights != NULL ? o->weights : beside;
    if (path == NULL) {
        fprintf(stderr, "%s: give the file of its weights with --weights\n", m->name);
        return EXIT_USAGE;
    }
    int status = cnnrt_weights_map(m, path, weights);
    if (status == CNNRT_WEIGHTS_FILE)
        fprintf(stderr, "%s: %s: %s\n", m->name, path, strerror(errno));
    else if (status != CNNRT_OK)
        fprintf(stderr, "%s: %s: %s\n", m->name, path, cnnrt_strerror(status));
    free(beside);
    return status == CNNRT_OK ? EXIT_FINE : EXIT_FILE;
}

static int run_model(const CnnrtModel *m, const Options *o, char **paths)
{
    const float *in[16] = {0};
    float *out[16] = {0};
    const float *weights = NULL;
    CnnrtContext *c = NULL;
    int batch = 0, status = open_weights(m, o, &weights);
    for (int64_t i = 0; i < m->input_count && status == EXIT_FINE; i++)
        if ((in[i] = read_input(paths[i], &m->inputs[i], m->max_batch, &batch)) == NULL)
            status = EXIT_FILE;
    for (int64_t i = 0; i < m->output_count && status == EXIT_FINE; i++)
        if ((out[i] = malloc((size_t)(tensor_count(&m->outputs[i]) * batch) * sizeof(float))) ==
            NULL)
            status = EXIT_MEMORY;
    int rc = status == EXIT_FINE ? cnnrt_create(&c, m, weights, o->threads, NULL, 0) : CNNRT_OK;
    if (rc == CNNRT_OK && status == EXIT_FINE)
        rc = cnnrt_run(c, batch, in, out);
    if (rc != CNNRT_OK) {
        const char *detail = cnnrt_detail(m);
        fprintf(stderr, "%s: %s%s%s\n", m->name, cnnrt_strerror(rc), *detail != '\0' ? ": " : "",
                detail);
        status = rc == CNNRT_NO_MEMORY || rc == CNNRT_DEVICE_MEMORY ? EXIT_MEMORY : EXIT_FILE;
    }
    int64_t last = m->output_count - 1;
    if (status == EXIT_FINE && o->output != NULL)
        status = write_output(o->output, out[last], &m->outputs[last], batch);
    else if (status == EXIT_FINE)
        for (int i = 0; i < batch; i++)
            print_top(out[last] + i * tensor_count(&m->outputs[last]),
                      tensor_count(&m->outputs[last]), i, o->top);
    cnnrt_destroy(c);
    if (weights != NULL)
        cnnrt_weights_unmap(m, weights);
    for (int i = 0; i < 16; i++) {
        free((void *)(uintptr_t)in[i]);
        free(out[i]);
    }
    return status;
}

static int parse_count(const char *s, int lo, int hi, int *out)
{
    char *end;
    long v = strtol(s, &end, 10);
    if (end == s || *end != '\0' || v < lo || v > hi)
        return 0;
    *out = (int)v;
    return 1;
}

/* Of several variants none runs here. */
static int no_variant(const char *self)
{
    const char *forced = getenv("CNNC_CPU");
    if (forced != NULL && *forced != '\0')
        fprintf(stderr, "%s: CNNC_CPU=%s: this program has no such variant, or %s\n", self, forced,
                "this processor lacks its instructions");
    else
        fprintf(stderr, "%s: %s\n", self, cnnrt_strerror(CNNRT_CPU));
    return EXIT_FILE;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"threads", required_argument, NULL, 't'}, {"output", required_argument, NULL, 'o'},
        {"top", required_argument, NULL, 'k'},     {"weights", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    const CnnrtModel *m = cnnrt_program_model();
    Options o = {.top = 5};
    if (m == NULL)
        return no_variant(argv[0]);
    for (int c; (c = getopt_long(argc, argv, "o:h", longs, NULL)) != -1;) {
        int good = 1;
        if (c == 'h') {
            usage(stdout, argv[0], m);
            return fflush(stdout) == 0 ? EXIT_FINE : EXIT_FILE;
        }
        if (c == 't')
            good = parse_count(optarg, 1, 1024, &o.threads);
        else if (c == 'k')
            good = parse_count(optarg, 1, 1 << 20, &o.top);
        else if (c == 'o')
            o.output = optarg;
        else if (c == 'w' && m->weights == NULL)
            o.weights = optarg;
        else
            good = 0;
        if (!good) {
            usage(stderr, argv[0], m);
            return EXIT_USAGE;
        }
    }
    if (m->input_count < 1 || argc - optind != m->input_count || m->input_count > 16 ||
        m->output_count > 16) {
        usage(stderr, argv[0], m);
        return EXIT_USAGE;
    }
    int status = run_model(m, &o, argv + optind);
    if (fflush(stdout) != 0 && status == EXIT_FINE) {
        fprintf(stderr, "stdout: %s\n", strerror(errno));
        status = EXIT_FILE;
    }
    return status;
}
