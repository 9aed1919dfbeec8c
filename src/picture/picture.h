/* Pictures of networks for those who design them: SVG, Graphviz source, and a page that answers to
 * the mouse. One network, or two side by side (before and after). */
#ifndef CNNC_PICTURE_H
#define CNNC_PICTURE_H
#include "analysis/analysis.h"
#include "elab/elab.h"

typedef struct PictureNet {
    const Elab *elab;
    const Analysis *an;
    const char *role; /* "before", "after"; NULL when it stands alone */
    /* "file:line:col" of a node, or NULL; the text lives as long as the net. */
    const char *(*place)(void *ctx, NodeId n);
    void *place_ctx;
} PictureNet;

typedef struct PictureOptions {
    int width; /* of the page, in pixels; 0: a good one. Wide blocks may exceed it */
} PictureOptions;

/* `count` is 1 or 2; memory comes from the arena of the first net. The result depends on nothing
 * but the arguments. */
void picture_svg(const PictureNet *nets, int count, const PictureOptions *o, Buf *out);
void picture_html(const PictureNet *nets, int count, const PictureOptions *o, Buf *out);
void picture_dot(const PictureNet *net, Buf *out);
#endif
