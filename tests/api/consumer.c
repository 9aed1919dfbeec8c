/* What a user's program looks like: built with the flags of pkg-config, in C and in C++. */
#include MODEL_HEADER
#include OTHER_HEADER
#include <stdio.h>
#include <stdlib.h>

static float in[squeeze_INPUT0_FLOATS], out[squeeze_OUTPUT0_FLOATS];

int main(int argc, char **argv)
{
    const float *weights = NULL;
    const float *inputs[1];
    float *outputs[1];
    CnnrtContext *c = NULL;
    int status = CNNRT_OK;
    inputs[0] = in;
    outputs[0] = out;
#if !squeeze_WEIGHTS_EMBEDDED
    if (argc > 1)
        status = squeeze_weights_map(argv[1], &weights);
#endif
    (void)argc, (void)argv;
    if (status == CNNRT_OK)
        status = squeeze_create(&c, weights, 0, NULL, 0);
    if (status == CNNRT_OK)
        status = squeeze_run(c, 1, inputs, outputs);
    squeeze_destroy(c);
#if !squeeze_WEIGHTS_EMBEDDED
    squeeze_weights_unmap(weights);
#endif
    printf("%s: %.6f %d\n", squeeze_strerror(status), (double)out[0], other_MAX_BATCH);
    return status;
}
