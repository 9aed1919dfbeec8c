#include "decode.h"
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_MAX = 8 * 1000 * 1000, CHUNKS_KEPT = 128 };

typedef struct PngJob {
    png_structp png;
    png_infop info;
    CnndataDecoded *d;
    const unsigned char *bytes;
    size_t len, at;
    png_bytep *rows;
} PngJob;

static void on_error(png_structp png, png_const_charp text)
{
    PngJob *j = png_get_error_ptr(png);
    snprintf(j->d->message, sizeof j->d->message, "damaged PNG: %s", text);
    png_longjmp(png, 1);
}

/* libpng says many things when memory runs out, and calls it damage. */
static png_voidp on_malloc(png_structp png, png_alloc_size_t n)
{
    PngJob *j = png_get_mem_ptr(png);
    void *p = malloc(n);
    if (p == NULL)
        j->d->status = CNNDATA_NO_MEMORY;
    return p;
}

static void on_free(png_structp png, png_voidp p)
{
    (void)png;
    free(p);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep out, size_t n)
{
    PngJob *j = png_get_io_ptr(png);
    if (n > j->len - j->at)
        png_error(png, "the file is truncated");
    memcpy(out, j->bytes + j->at, n);
    j->at += n;
}

/* Everything to 8-bit RGB: the high byte of 16 bits, alpha dropped. */
static void convert(PngJob *j)
{
    png_byte type = png_get_color_type(j->png, j->info);
    png_set_strip_16(j->png);
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(j->png);
    else if (png_get_bit_depth(j->png, j->info) < 8)
        png_set_expand_gray_1_2_4_to_8(j->png);
    if (!(type & PNG_COLOR_MASK_COLOR))
        png_set_gray_to_rgb(j->png);
    png_set_strip_alpha(j->png);
    png_set_interlace_handling(j->png);
    png_read_update_info(j->png, j->info);
}

static void take_orientation(PngJob *j)
{
#ifdef PNG_eXIf_SUPPORTED
    png_uint_32 n = 0;
    png_bytep exif = NULL;
    if (png_get_eXIf_1(j->png, j->info, &n, &exif) != 0 && exif != NULL)
        j->d->orientation = cnndata_decode_orientation(exif, n);
#else
    (void)j;
#endif
}

static bool run(PngJob *j)
{
    CnndataImage *im = j->d->image;
    if (setjmp(png_jmpbuf(j->png)) != 0)
        return false;
    png_set_user_limits(j->png, 0x7fffffff, 0x7fffffff);
    png_set_chunk_malloc_max(j->png, CHUNK_MAX);
    png_set_chunk_cache_max(j->png, CHUNKS_KEPT);
    png_set_read_fn(j->png, j, on_read);
    png_read_info(j->png, j->info);
    if (!cnndata_decode_start(j->d, png_get_image_width(j->png, j->info),
                              png_get_image_height(j->png, j->info)))
        return false;
    convert(j);
    if (png_get_rowbytes(j->png, j->info) != (size_t)im->w * 3)
        png_error(j->png, "unknown kind of pixels");
    j->rows = malloc((size_t)im->h * sizeof *j->rows);
    if (j->rows == NULL) {
        j->d->status = CNNDATA_NO_MEMORY;
        png_error(j->png, "out of memory");
    }
    for (int64_t y = 0; y < im->h; y++)
        j->rows[y] = im->pixels + (size_t)y * (size_t)im->w * 3;
    /* pixels a damaged stream leaves out are not to be those of other memory */
    memset(im->pixels, 0, (size_t)im->w * (size_t)im->h * 3);
    png_read_image(j->png, j->rows);
    png_read_end(j->png, j->info);
    take_orientation(j);
    return true;
}

bool cnndata_decode_png(CnndataDecoded *d, const unsigned char *bytes, size_t len)
{
    PngJob j = {.d = d, .bytes = bytes, .len = len};
    bool ok = false;
    const int damaged = d->status;
    snprintf(d->message, sizeof d->message, "out of memory");
    d->status = CNNDATA_NO_MEMORY;
    j.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning, &j, on_malloc,
                                     on_free);
    if (j.png != NULL)
        j.info = png_create_info_struct(j.png);
    if (j.info != NULL) {
        d->status = damaged;
        ok = run(&j);
    }
    png_destroy_read_struct(&j.png, &j.info, NULL);
    free(j.rows);
    return ok;
}
