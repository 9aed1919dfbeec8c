#include "decode.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after stdio.h, which it needs */
#include <jerror.h>
#include <jpeglib.h>

/* A progressive picture may ask for any number of passes over all its pixels. */
enum { SCANS_MAX = 500 };

typedef struct JpegJob {
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf env;
    CnndataDecoded *d;
    const unsigned char *bytes;
    size_t len;
    uint8_t *row; /* CMYK */
} JpegJob;

static void fail(j_common_ptr c)
{
    JpegJob *j = c->client_data;
    char text[JMSG_LENGTH_MAX];
    c->err->format_message(c, text);
    if (c->err->msg_code == JERR_OUT_OF_MEMORY)
        j->d->status = CNNDATA_NO_MEMORY;
    snprintf(j->d->message, sizeof j->d->message, "damaged JPEG: %s", text);
    longjmp(j->env, 1);
}

/* libjpeg goes on after damage with made-up pixels; what it calls warnings of this kind ends it. */
static void on_message(j_common_ptr c, int level)
{
    if (level >= 0)
        return;
    switch (c->err->msg_code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_JPEG_EOF:
    case JWRN_MUST_RESYNC:
    case JWRN_TOO_MUCH_DATA: fail(c); break;
    default: break;
    }
}

static void on_text(j_common_ptr c)
{
    (void)c;
}

static void on_progress(j_common_ptr c)
{
    JpegJob *j = c->client_data;
    if (j->c.input_scan_number > SCANS_MAX) {
        snprintf(j->d->message, sizeof j->d->message, "the JPEG has more than %d scans",
                 (int)SCANS_MAX);
        longjmp(j->env, 1);
    }
}

static int exif_orientation(const struct jpeg_decompress_struct *c)
{
    for (jpeg_saved_marker_ptr m = c->marker_list; m != NULL; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length >= 6 &&
            memcmp(m->data, "Exif\0\0", 6) == 0)
            return cnndata_decode_orientation(m->data + 6, m->data_length - 6);
    return 1;
}

/* Adobe's CMYK is stored inverted, so that 255 is no ink. */
static void cmyk_row(const uint8_t *in, uint8_t *out, int64_t w)
{
    for (int64_t x = 0; x < w; x++)
        for (int i = 0; i < 3; i++) {
            int ink = 255 - in[4 * x + i], t = ink * in[4 * x + 3] + 128;
            out[3 * x + i] = (uint8_t)(in[4 * x + 3] - (((t >> 8) + t) >> 8));
        }
}

static void read_rows(JpegJob *j)
{
    CnndataImage *im = j->d->image;
    bool cmyk = j->c.out_color_space == JCS_CMYK;
    while (j->c.output_scanline < j->c.output_height) {
        uint8_t *to = im->pixels + (size_t)j->c.output_scanline * (size_t)im->w * 3;
        JSAMPROW row = cmyk ? j->row : to;
        if (jpeg_read_scanlines(&j->c, &row, 1) == 1 && cmyk)
            cmyk_row(row, to, im->w);
    }
}

static bool run(JpegJob *j)
{
    if (setjmp(j->env) != 0)
        return false;
    jpeg_create_decompress(&j->c);
    jpeg_mem_src(&j->c, j->bytes, j->len);
    jpeg_save_markers(&j->c, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(&j->c, TRUE);
    j->d->orientation = exif_orientation(&j->c);
    if (!cnndata_decode_start(j->d, j->c.image_width, j->c.image_height))
        return false;
    bool cmyk = j->c.jpeg_color_space == JCS_CMYK || j->c.jpeg_color_space == JCS_YCCK;
    if (cmyk && (j->row = malloc((size_t)j->c.image_width * 4)) == NULL) {
        j->d->status = CNNDATA_NO_MEMORY;
        snprintf(j->d->message, sizeof j->d->message, "out of memory");
        return false;
    }
    j->c.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    j->c.progress = &j->progress;
    jpeg_start_decompress(&j->c);
    read_rows(j);
    jpeg_finish_decompress(&j->c);
    return true;
}

bool cnndata_decode_jpeg(CnndataDecoded *d, const unsigned char *bytes, size_t len)
{
    JpegJob j = {.d = d, .bytes = bytes, .len = len};
    j.c.err = jpeg_std_error(&j.errors);
    j.c.client_data = &j;
    j.errors.error_exit = fail;
    j.errors.emit_message = on_message;
    j.errors.output_message = on_text;
    j.progress.progress_monitor = on_progress;
    bool ok = run(&j);
    jpeg_destroy_decompress(&j.c);
    free(j.row);
    return ok;
}
