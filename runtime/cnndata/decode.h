/* Private: what the decoders of pictures share. */
#ifndef CNNDATA_DECODE_H
#define CNNDATA_DECODE_H
#include "pixels.h"

typedef struct CnndataDecoded {
    CnndataImage *image;
    int orientation; /* EXIF, 1 = upright */
    int status;      /* what to return with the message */
    char message[256];
} CnndataDecoded;

/* Fill *d; false with d->message. */
bool cnndata_decode_jpeg(CnndataDecoded *d, const unsigned char *bytes, size_t len);
bool cnndata_decode_png(CnndataDecoded *d, const unsigned char *bytes, size_t len);
/* Checks the size and makes the image's memory; false with d->message. */
bool cnndata_decode_start(CnndataDecoded *d, uint64_t w, uint64_t h);
/* Orientation from a TIFF block (what follows "Exif\0\0"); 1 when there is none. */
int cnndata_decode_orientation(const unsigned char *tiff, size_t len);
#endif
