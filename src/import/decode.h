/* Private to src/import: what the decoders of pictures share. */
#ifndef CNNC_DECODE_H
#define CNNC_DECODE_H
#include "import/image.h"

enum { DECODE_MESSAGE = 256, DECODE_PIXELS_MAX = 100 * 1000 * 1000 };

typedef struct Decoded {
    Image image;
    int orientation; /* EXIF, 1 = upright */
    char message[DECODE_MESSAGE];
} Decoded;

/* Fill *d; false with d->message. d->image.rgb may be set even then: the caller frees it. */
bool decode_jpeg(Decoded *d, const unsigned char *bytes, size_t len);
bool decode_png(Decoded *d, const unsigned char *bytes, size_t len);
/* Checks the size and makes d->image; false with d->message. */
bool decode_start(Decoded *d, uint64_t w, uint64_t h);
/* Orientation from a TIFF block (what follows "Exif\0\0"); 1 when there is none. */
int decode_orientation(const unsigned char *tiff, size_t len);
#endif
