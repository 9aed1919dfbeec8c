/* The reader of checkpoints. Promise: what it takes for a good one can be loaded, and a file that
 * it refuses changes nothing. */
#include "fuzz.h"

#include "cnntrain/checkpoint.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float w[6], b[1];
    const CnntrainTensor ours[] = {{"conv.weight", 2, {2, 3}, w}, {"bias", 0, {0}, b}};
    char message[CNNTRAIN_MESSAGE] = "", *report;
    const char *path = fuzz_file(data, size);
    CnntrainCheckpoint *c = cnntrain_checkpoint_open(path, message);
    if (c == NULL) {
        FUZZ_CHECK(message[0] != '\0');
        return 0;
    }
    CnntrainFit fit;
    int64_t step;
    double best;
    cnntrain_checkpoint_integer(c, "step", &step);
    cnntrain_checkpoint_real(c, "best", &best);
    memset(w, 0, sizeof w);
    if (!cnntrain_checkpoint_load(c, ours, 2, &report, message)) {
        for (int i = 0; i < 6; i++)
            FUZZ_CHECK(w[i] == 0);
        FUZZ_CHECK(message[0] != '\0');
    } else {
        FUZZ_CHECK(cnntrain_checkpoint_verify(c, message) && report == NULL);
    }
    free(report);
    if (cnntrain_checkpoint_fit(c, "", ours, 2, &fit, &report, message))
        FUZZ_CHECK(fit.copied + fit.missing + fit.different == 2);
    free(report);
    cnntrain_checkpoint_close(c);
    return 0;
}
