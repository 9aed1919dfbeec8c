/* Uses a compiled resnet50 from C: two threads, each with a context and workspace of its own, with
 * batch sizes 1 and 3. Prints the largest logit of every image.
 *   cnnc build resnet50 --init=1 --emit=so,header -o resnet50
 *   cc host.c ./resnet50.so -lpthread -o host && ./host */
#include "resnet50.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct Job {
    int batch;
    int status;
    int best[resnet50_MAX_BATCH];
    float value[resnet50_MAX_BATCH];
} Job;

static void *work(void *arg)
{
    Job *job = arg;
    size_t pixels = (size_t)resnet50_INPUT0_FLOATS * (size_t)job->batch;
    size_t classes = resnet50_OUTPUT0_FLOATS;
    size_t bytes = (resnet50_workspace_size(job->batch, 1) + 63) / 64 * 64;
    float *in = malloc(pixels * sizeof *in);
    float *out = malloc(classes * (size_t)job->batch * sizeof *out);
    void *workspace = aligned_alloc(64, bytes);
    CnnrtContext *context = NULL;

    job->status = -1;
    if (in != NULL && out != NULL && workspace != NULL) {
        /* the same picture in every place of the batch, so that all results must agree */
        for (size_t i = 0; i < pixels; i++)
            in[i] = (float)(i % resnet50_INPUT0_FLOATS % 255) / 127.5f - 1.0f;
        job->status = resnet50_create(&context, NULL, 1, workspace, bytes);
    }
    if (job->status == 0) {
        const float *const inputs[] = {in};
        float *const outputs[] = {out};
        job->status = resnet50_run(context, job->batch, inputs, outputs);
    }
    for (int n = 0; job->status == 0 && n < job->batch; n++) {
        const float *v = out + (size_t)n * classes;
        job->best[n] = 0;
        for (size_t c = 1; c < classes; c++)
            if (v[c] > v[job->best[n]])
                job->best[n] = (int)c;
        job->value[n] = v[job->best[n]];
    }
    resnet50_destroy(context);
    free(workspace);
    free(out);
    free(in);
    return NULL;
}

int main(void)
{
    Job jobs[2] = {{.batch = 1}, {.batch = 3}};
    pthread_t threads[2];
    int failed = 0;
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, work, &jobs[i]) != 0)
            return 1;
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], NULL);
        if (jobs[i].status != 0) {
            fprintf(stderr, "batch %d: %s\n", jobs[i].batch, resnet50_strerror(jobs[i].status));
            failed = 1;
            continue;
        }
        for (int n = 0; n < jobs[i].batch; n++) {
            printf("batch %d image %d: class %d, logit %.5f\n", jobs[i].batch, n, jobs[i].best[n],
                   (double)jobs[i].value[n]);
            failed |= jobs[i].best[n] != jobs[0].best[0] || jobs[i].value[n] != jobs[0].value[0];
        }
    }
    return failed;
}
