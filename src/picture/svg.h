/* The parts of a drawing. */
#ifndef CNNC_PICTURE_SVG_H
#define CNNC_PICTURE_SVG_H
#include "picture/model.h"

/* How a drawing is used: details of layers are tooltips in a picture, data for the page's script in
 * HTML. */
typedef struct Pen {
    Arena *a;
    Buf *out;
    bool interactive;
} Pen;

/* The lanes of a net with their upper left corner at x, y. */
void draw_lanes(Pen *p, const Model *m, int x, int y);
/* Receptive fields against layers, in a frame of this place and size. */
enum { CHART_HEIGHT = 300 };
void draw_chart(Pen *p, const PictureNet *nets, int count, int x, int y, int w);
/* Title, facts, legend; returns the height it took. */
int draw_header(Pen *p, const PictureNet *net, int x, int y, int w);
/* Rules that colour what the functions above draw; dark: for a dark page. */
void draw_style(Buf *out, bool dark);
/* <text> with escapes; attrs: further attributes, written as they are. */
void draw_text(Pen *p, const char *class, int x, int y, const char *text);
/* The whole drawing. */
void draw_page(Pen *p, const PictureNet *nets, int count, const PictureOptions *o);
#endif
