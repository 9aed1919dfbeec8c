/* Pictures: every kind of JPEG and PNG comes out as the same RGB, the resize gives Pillow's bytes
 * and the preparation torchvision's floats, and damage is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
#include <png.h>
#include <unistd.h>
#include "import/image.h"
#include "support/fs.h"
#include "rng.h"

static OomHandler oom;
static Arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, &oom, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* Made alike by the script that gave the check values below:
 *   y, x, c = numpy.meshgrid(range(h), range(w), range(3), indexing="ij")
 *   Image.fromarray(((x*37 + y*91 + c*53 + x*y*7) & 255).astype(numpy.uint8)) */
static Image picture(int64_t w, int64_t h)
{
    Image im = {malloc((size_t)(w * h * 3)), w, h};
    assert_non_null(im.rgb);
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++)
            for (int64_t c = 0; c < 3; c++)
                im.rgb[(y * w + x) * 3 + c] = (uint8_t)(x * 37 + y * 91 + c * 53 + x * y * 7);
    return im;
}

static uint32_t fnv(const void *p, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const unsigned char *)p)[i]) * 16777619u;
    return h;
}

static void test_resize_bytes(void **state)
{
    (void)state;
    /* Pillow 9.4: list(picture(13, 9).resize((5, 4), Image.BILINEAR).tobytes()) */
    static const uint8_t want[60] = {106, 131, 143, 120, 135, 146, 126, 124, 134, 115, 130, 137,
                                     119, 144, 118, 123, 134, 130, 140, 141, 132, 141, 128, 126,
                                     127, 129, 127, 135, 144, 144, 115, 147, 122, 128, 130, 113,
                                     144, 134, 127, 124, 132, 109, 138, 106, 128, 131, 105, 146,
                                     132, 117, 138, 122, 121, 128, 128, 124, 132, 129, 100, 153};
    uint8_t out[60];
    Image im = picture(13, 9);
    assert_true(image_resize(im.rgb, 13, 9, 3, (ImageWindow){5, 4, 0, 0, 5, 4}, out));
    assert_memory_equal(out, want, sizeof want);
    /* a window is cut from the same result */
    assert_true(image_resize(im.rgb, 13, 9, 3, (ImageWindow){5, 4, 2, 1, 2, 2}, out));
    assert_memory_equal(out, want + 15 + 6, 6);
    assert_memory_equal(out + 6, want + 30 + 6, 6);
    assert_false(image_resize(im.rgb, 13, 9, 3, (ImageWindow){5, 4, 4, 0, 2, 4}, out));
    assert_false(image_resize(im.rgb, 13, 9, 3, (ImageWindow){5, 4, 0, 0, 0, 4}, out));
    image_free(&im);
}

static void test_resize_sums(void **state)
{
    (void)state;
    /* FNV-1a of picture(w, h).resize((to_w, to_h), Image.BILINEAR).tobytes(), Pillow 9.4 */
    static const struct {
        int w, h, to_w, to_h;
        uint32_t sum;
    } cases[] = {
        {13, 9, 20, 17, 0x95d6336f},  {13, 9, 13, 4, 0xaec6a3e5},   {13, 9, 5, 9, 0xc29a3e30},
        {200, 3, 7, 50, 0x6cc1208f},  {3, 211, 64, 10, 0x51c61bcd}, {1, 1, 8, 8, 0xd1160a85},
        {97, 61, 96, 60, 0xd7e9e3fa}, {300, 200, 1, 1, 0xbcf8ca0d}, {64, 64, 64, 64, 0x5e091b45},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int w = cases[i].to_w, h = cases[i].to_h;
        Image im = picture(cases[i].w, cases[i].h);
        size_t n = (size_t)w * (size_t)h * 3;
        uint8_t *out = malloc(n);
        assert_non_null(out);
        assert_true(image_resize(im.rgb, im.w, im.h, 3, (ImageWindow){w, h, 0, 0, w, h}, out));
        assert_int_equal(fnv(out, n), cases[i].sum);
        free(out);
        image_free(&im);
    }
}

static void test_prepare(void **state)
{
    (void)state;
    /* FNV-1a of the float32 bytes of torchvision 0.14's Resize(resize), CenterCrop(crop),
     * ToTensor(), Normalize(mean, std) of picture(w, h); resize 0: without the resize */
    static const struct {
        int w, h, resize, crop;
        uint32_t sum;
    } cases[] = {
        {40, 31, 16, 12, 0xbdf0baf5},
        {31, 50, 9, 14, 0x10f10485},
        {25, 18, 0, 11, 0xc710fe83},
        {25, 18, 0, 30, 0x27767ef8},
    };
    static float out[3 * 30 * 30];
    const char *err;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int crop = cases[i].crop;
        Image im = picture(cases[i].w, cases[i].h);
        ImagePrep p = {.c = 3,
                       .h = crop,
                       .w = crop,
                       .resize = cases[i].resize,
                       .crop = crop,
                       .has_norm = true,
                       .mean = {0.485, 0.456, 0.406},
                       .std = {0.229, 0.224, 0.225}};
        if (!image_prepare(&im, &p, out, &arena, &err))
            fail_msg("%s", err);
        assert_int_equal(fnv(out, (size_t)crop * (size_t)crop * 12), cases[i].sum);
        image_free(&im);
    }
    /* the same of Resize((6, 7)), ToTensor() of picture(20, 15).convert("L") */
    Image im = picture(20, 15);
    ImagePrep p = {.c = 1, .h = 6, .w = 7};
    assert_true(image_prepare(&im, &p, out, &arena, &err));
    assert_int_equal(fnv(out, 6 * 7 * sizeof *out), 0xbdf00ef9);
    image_free(&im);
}

static void test_prepare_refusals(void **state)
{
    (void)state;
    static const struct {
        ImagePrep p;
        const char *err;
    } cases[] = {
        {{.c = 2, .h = 4, .w = 4}, "3 channels or 1"},
        {{.c = 3, .h = 0, .w = 4}, "out of range"},
        {{.c = 3, .h = 1 << 20, .w = 1 << 20}, "out of range"},
        {{.c = 3, .h = 4, .w = 4, .crop = 5}, "a crop of 5 does not give 4x4"},
        {{.c = 3, .h = 4, .w = 4, .resize = -1}, "negative"},
        {{.c = 3, .h = 4, .w = 4, .has_norm = true, .std = {1, 0, 1}}, "deviation of 0"},
        {{.c = 3, .h = 4, .w = 4, .resize = 60 * 1000 * 1000, .crop = 4}, "too narrow"},
    };
    float out[48];
    Image im = picture(8, 3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *err = NULL;
        assert_false(image_prepare(&im, &cases[i].p, out, &arena, &err));
        assert_non_null(strstr(err, cases[i].err));
    }
    image_free(&im);
}

typedef struct Bytes {
    unsigned char *at;
    size_t len;
} Bytes;

static void png_out(png_structp png, png_bytep p, size_t n)
{
    Bytes *b = png_get_io_ptr(png);
    b->at = realloc(b->at, b->len + n);
    assert_non_null(b->at);
    memcpy(b->at + b->len, p, n);
    b->len += n;
}

/* A PNG of samples as they are in the file: rows of `pitch` bytes. */
static Bytes png_make(const uint8_t *rows, size_t pitch, int w, int h, int type, int depth,
                      int interlace, int orientation)
{
    Bytes b = {0};
    png_color colours[4] = {{255, 0, 0}, {0, 255, 0}, {0, 0, 255}, {9, 8, 7}};
    png_byte clear[4] = {0, 255, 128, 255};
    unsigned char exif[26] = "MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01";
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_non_null(info);
    if (setjmp(png_jmpbuf(png)) != 0)
        fail();
    png_set_write_fn(png, &b, png_out, NULL);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, depth, type, interlace,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_set_PLTE(png, info, colours, 4);
        png_set_tRNS(png, info, clear, 4, NULL);
    }
    exif[19] = (unsigned char)orientation;
    if (orientation > 0)
        png_set_eXIf_1(png, info, sizeof exif, exif);
    png_write_info(png, info);
    int passes = png_set_interlace_handling(png);
    for (int k = 0; k < passes; k++)
        for (int y = 0; y < h; y++)
            png_write_row(png, rows + (size_t)y * pitch);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return b;
}

static void expect_picture(Bytes b, const uint8_t *rgb, int64_t w, int64_t h)
{
    Image im;
    const char *err;
    if (!image_decode(&im, b.at, b.len, &arena, &err))
        fail_msg("%s", err);
    assert_int_equal(im.w, w);
    assert_int_equal(im.h, h);
    assert_memory_equal(im.rgb, rgb, (size_t)(w * h * 3));
    image_free(&im);
    free(b.at);
}

static void test_png_kinds(void **state)
{
    (void)state;
    Image im = picture(11, 6);
    enum { N = 11 * 6 };
    uint8_t rgba[N * 4], wide[N * 6], grey[N], grey_alpha[N * 2], rgb[N * 3];
    for (int i = 0; i < N * 3; i++) {
        rgba[i / 3 * 4 + i % 3] = im.rgb[i];
        rgba[i / 3 * 4 + 3] = (uint8_t)(i * 29); /* dropped */
        wide[2 * i] = im.rgb[i];
        wide[2 * i + 1] = (uint8_t)(i * 31); /* the low byte, dropped */
        grey[i / 3] = grey_alpha[i / 3 * 2] = im.rgb[i / 3 * 3];
        grey_alpha[i / 3 * 2 + 1] = (uint8_t)i;
        rgb[i] = im.rgb[i / 3 * 3];
    }
    for (int lace = 0; lace < 2; lace++) {
        expect_picture(png_make(im.rgb, 33, 11, 6, PNG_COLOR_TYPE_RGB, 8, lace, 0), im.rgb, 11, 6);
        expect_picture(png_make(rgba, 44, 11, 6, PNG_COLOR_TYPE_RGBA, 8, lace, 0), im.rgb, 11, 6);
        expect_picture(png_make(wide, 66, 11, 6, PNG_COLOR_TYPE_RGB, 16, lace, 0), im.rgb, 11, 6);
        expect_picture(png_make(grey, 11, 11, 6, PNG_COLOR_TYPE_GRAY, 8, lace, 0), rgb, 11, 6);
        expect_picture(png_make(grey_alpha, 22, 11, 6, PNG_COLOR_TYPE_GRAY_ALPHA, 8, lace, 0), rgb,
                       11, 6);
    }
    image_free(&im);
    static const uint8_t colours[15] = {255, 0, 0, 9, 8, 7, 0, 0, 255, 0, 255, 0, 255, 0, 0};
    static const uint8_t greys[15] = {0, 0, 0, 255, 255, 255, 170, 170, 170, 85, 85, 85, 0, 0, 0};
    static const uint8_t packed[2] = {0x39, 0x00}; /* 0 3 2 1 0 */
    expect_picture(png_make(packed, 2, 5, 1, PNG_COLOR_TYPE_PALETTE, 2, 0, 0), colours, 5, 1);
    expect_picture(png_make(packed, 2, 5, 1, PNG_COLOR_TYPE_GRAY, 2, 0, 0), greys, 5, 1);
}

/* Where the stored pixels 0..5 (3 x 2) belong when the file says the orientation. */
static const struct {
    int w, h;
    uint8_t at[6];
} upright[9] = {
    {0, 0, {0}},
    {3, 2, {0, 1, 2, 3, 4, 5}},
    {3, 2, {2, 1, 0, 5, 4, 3}},
    {3, 2, {5, 4, 3, 2, 1, 0}},
    {3, 2, {3, 4, 5, 0, 1, 2}},
    {2, 3, {0, 3, 1, 4, 2, 5}},
    {2, 3, {3, 0, 4, 1, 5, 2}},
    {2, 3, {5, 2, 4, 1, 3, 0}},
    {2, 3, {2, 5, 1, 4, 0, 3}},
};

static void test_orientation(void **state)
{
    (void)state;
    uint8_t stored[18], want[18];
    for (int i = 0; i < 18; i++)
        stored[i] = (uint8_t)(i / 3);
    for (int o = 1; o <= 8; o++) {
        for (int i = 0; i < 18; i++)
            want[i] = upright[o].at[i / 3];
        expect_picture(png_make(stored, 9, 3, 2, PNG_COLOR_TYPE_RGB, 8, 0, o), want, upright[o].w,
                       upright[o].h);
    }
    expect_picture(png_make(stored, 9, 3, 2, PNG_COLOR_TYPE_RGB, 8, 0, 9), stored, 3, 2);
}

/* channels: 1 grey, 3 RGB, 4 CMYK */
static Bytes jpeg_make(const uint8_t *rows, int w, int h, int channels, bool progressive,
                       int orientation)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *mem = NULL;
    unsigned long len = 0;
    unsigned char exif[32] = "Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0";
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &mem, &len);
    c.image_width = (JDIMENSION)w;
    c.image_height = (JDIMENSION)h;
    c.input_components = channels;
    c.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 100, TRUE);
    for (int i = 0; i < c.num_components; i++)
        c.comp_info[i].h_samp_factor = c.comp_info[i].v_samp_factor = 1;
    if (progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    exif[24] = (unsigned char)orientation;
    if (orientation > 0)
        jpeg_write_marker(&c, JPEG_APP0 + 1, exif, sizeof exif);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(rows + c.next_scanline * (size_t)(w * channels));
        jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    return (Bytes){mem, len};
}

static void expect_near(Bytes b, const uint8_t *rgb, int64_t w, int64_t h)
{
    Image im;
    const char *err;
    if (!image_decode(&im, b.at, b.len, &arena, &err))
        fail_msg("%s", err);
    assert_int_equal(im.w, w);
    assert_int_equal(im.h, h);
    for (int64_t i = 0; i < w * h * 3; i++)
        if (abs(im.rgb[i] - rgb[i]) > 4)
            fail_msg("sample %d: %d, not %d", (int)i, im.rgb[i], rgb[i]);
    image_free(&im);
    free(b.at);
}

static void test_jpeg_kinds(void **state)
{
    (void)state;
    enum { W = 21, H = 13, N = W * H };
    uint8_t rgb[N * 3], turned[N * 3], cmyk[N * 4], grey[N], grey_rgb[N * 3];
    for (int i = 0; i < N; i++) {
        int x = i % W, y = i / W;
        const uint8_t v[3] = {(uint8_t)(x * 12), (uint8_t)(y * 19), (uint8_t)(250 - x * 5 - y * 4)};
        grey[i] = v[0];
        for (int c = 0; c < 3; c++) {
            rgb[3 * i + c] = v[c];
            grey_rgb[3 * i + c] = v[0];
            cmyk[4 * i + c] = v[c];
            turned[3 * (x * H + H - 1 - y) + c] = v[c];
        }
        cmyk[4 * i + 3] = 255; /* stored inverted: no black */
    }
    for (int progressive = 0; progressive < 2; progressive++) {
        expect_near(jpeg_make(rgb, W, H, 3, progressive, 0), rgb, W, H);
        expect_near(jpeg_make(grey, W, H, 1, progressive, 0), grey_rgb, W, H);
        expect_near(jpeg_make(cmyk, W, H, 4, progressive, 0), rgb, W, H);
        expect_near(jpeg_make(rgb, W, H, 3, progressive, 1), rgb, W, H);
        expect_near(jpeg_make(rgb, W, H, 3, progressive, 6), turned, H, W);
    }
}

static void refused(const void *bytes, size_t len, const char *reason)
{
    Image im;
    const char *err = "";
    assert_false(image_decode(&im, bytes, len, &arena, &err));
    assert_null(im.rgb);
    if (strstr(err, reason) == NULL)
        fail_msg("expected: %s, found: %s", reason, err);
}

static void test_refusals(void **state)
{
    (void)state;
    refused("", 0, "empty");
    refused("GIF89a....", 10, "neither a JPEG nor a PNG");
    refused("\xff\xd8", 2, "damaged JPEG");
    refused("\x89PNG\r\n\x1a\n", 8, "truncated");
    Image im = picture(24, 24);
    Bytes b = png_make(im.rgb, 72, 24, 24, PNG_COLOR_TYPE_RGB, 8, 0, 0);
    for (size_t n = 1; n < b.len; n++)
        refused(b.at, n, "");
    b.at[b.len / 2] ^= 1;
    refused(b.at, b.len, "damaged PNG");
    b.at[30] ^= 1; /* in the sum of the first chunk */
    refused(b.at, b.len, "CRC");
    free(b.at);
    b = jpeg_make(im.rgb, 24, 24, 3, false, 0);
    for (size_t n = 1; n < b.len - 2; n++)
        refused(b.at, n, n < 2 ? "neither" : "damaged JPEG");
    /* the size in the frame header, raised beyond the limit before any memory is asked for */
    for (size_t i = 0; i + 8 < b.len; i++)
        if (b.at[i] == 0xff && b.at[i + 1] == 0xc0)
            memset(b.at + i + 5, 0xf0, 4);
    refused(b.at, b.len, "61680 x 61680 pixels are more than 100 megapixels");
    free(b.at);
    image_free(&im);
    const char *err;
    assert_false(image_read(&im, "/nonexistent.png", &arena, &err));
    assert_non_null(strstr(err, "No such file"));
}

static void test_read_file(void **state)
{
    (void)state;
    char path[] = "/tmp/cnnc-pictures-XXXXXX";
    Image im = picture(5, 4), back;
    const char *err;
    int fd = mkstemp(path);
    assert_true(fd >= 0 && close(fd) == 0);
    Bytes b = png_make(im.rgb, 15, 5, 4, PNG_COLOR_TYPE_RGB, 8, 0, 0);
    assert_true(fs_write_all(path, b.at, b.len, false, &err));
    assert_true(image_read(&back, path, &arena, &err));
    assert_memory_equal(back.rgb, im.rgb, 60);
    assert_int_equal(unlink(path), 0);
    image_free(&back);
    image_free(&im);
    free(b.at);
}

/* Sums of PNG chunks are made good again, so that damage gets past them. */
static void mend_sums(unsigned char *f, size_t len)
{
    for (size_t at = 8; len - at >= 12;) {
        uint32_t n = (uint32_t)f[at] << 24 | (uint32_t)f[at + 1] << 16 | (uint32_t)f[at + 2] << 8 |
                     f[at + 3];
        if (n > len - at - 12)
            return;
        uint32_t sum = 0xffffffffu;
        for (size_t i = at + 4; i < at + 8 + n; i++) {
            sum ^= f[i];
            for (int k = 0; k < 8; k++)
                sum = sum >> 1 ^ (sum & 1 ? 0xedb88320u : 0);
        }
        for (size_t k = 0; k < 4; k++)
            f[at + 8 + n + k] = (unsigned char)(~sum >> (24 - 8 * k));
        at += 12 + (size_t)n;
    }
}

static void damage_runs(Bytes good, uint64_t key, int rounds, bool png, int *read)
{
    for (int i = 0; i < rounds; i++) {
        uint64_t r = rng_mix(key, 8 * (uint64_t)i);
        size_t n = r & 16 ? 1 + (r >> 8) % good.len : good.len;
        unsigned char *f = malloc(n);
        assert_non_null(f);
        memcpy(f, good.at, n);
        for (uint64_t k = 0; k <= r % 4; k++) {
            uint64_t bits = rng_mix(key, 8 * (uint64_t)i + 1 + k);
            size_t span = bits & 16 && n > 128 ? 128 : n; /* headers more often than pixels */
            f[(bits >> 16) % span] ^= (unsigned char)(bits & 1 ? 1u << (bits >> 1 & 7) : bits >> 8);
        }
        if (png && n >= 8 && i % 4 != 0)
            mend_sums(f, n);
        Image im;
        const char *err = NULL;
        if (image_decode(&im, f, n, &arena, &err)) {
            (*read)++;
            assert_true(im.w > 0 && im.h > 0);
            uint8_t one[3];
            assert_true(image_resize(im.rgb, im.w, im.h, 3, (ImageWindow){1, 1, 0, 0, 1, 1}, one));
        } else {
            assert_non_null(err);
            assert_null(im.rgb);
        }
        image_free(&im);
        free(f);
        arena_reset(&arena);
    }
}

static void test_damage(void **state)
{
    (void)state;
    Image im = picture(19, 14);
    int png = 0, jpeg = 0;
    for (int kind = 0; kind < 2; kind++) {
        Bytes b = png_make(im.rgb, 57, 19, 14, PNG_COLOR_TYPE_RGB, 8, kind, 6);
        damage_runs(b, 21 + (uint64_t)kind, 1500, true, &png);
        free(b.at);
        b = jpeg_make(im.rgb, 19, 14, 3, kind, 6);
        damage_runs(b, 31 + (uint64_t)kind, 1500, false, &jpeg);
        free(b.at);
    }
    image_free(&im);
    assert_true(png > 40 && png < 2500);
    assert_true(jpeg > 50 && jpeg < 2500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resize_bytes), cmocka_unit_test(test_resize_sums),
        cmocka_unit_test(test_prepare),      cmocka_unit_test(test_prepare_refusals),
        cmocka_unit_test(test_png_kinds),    cmocka_unit_test(test_orientation),
        cmocka_unit_test(test_jpeg_kinds),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_read_file),    cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
