/* The decoders of pictures, and what makes a network's input of them. Promises: a decoded picture
 * has all its pixels; preparing it for an input fills that input. */
#include "fuzz.h"

#include "import/image.h"
#include <math.h>
#include <string.h>

enum { MEMORY = 256 << 20, SIDE = 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static OomHandler oom;
    static Arena a;
    memset(&a, 0, sizeof a);
    if (setjmp(oom.env) == 0) {
        const char *err = NULL;
        Image im = {0};
        arena_init(&a, &oom, MEMORY);
        if (image_decode(&im, data, size, &a, &err)) {
            static float out[3 * SIDE * SIDE];
            ImagePrep p = {.c = 3, .h = SIDE, .w = SIDE, .resize = SIDE + 8, .crop = SIDE};
            volatile uint8_t last = 0;
            FUZZ_CHECK(im.w > 0 && im.h > 0);
            for (int64_t i = 0; i < im.w * im.h * 3; i++)
                last = im.rgb[i];
            (void)last;
            memset(out, 0xFF, sizeof out);
            if (im.w * im.h < 1 << 20 && image_prepare(&im, &p, out, &a, &err))
                for (size_t i = 0; i < sizeof out / sizeof *out; i++)
                    FUZZ_CHECK(isfinite(out[i]));
            image_free(&im);
        } else {
            FUZZ_CHECK(err != NULL && im.rgb == NULL);
        }
    }
    arena_free(&a);
    return 0;
}
