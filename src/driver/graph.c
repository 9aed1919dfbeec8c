/* graph: a picture of a network, or of two side by side. */
#include "driver/commands.h"
#include "driver/refined.h"
#include "picture/picture.h"
#include <string.h>

typedef struct PlaceCtx {
    Run *r;
    const Net *n;
} PlaceCtx;

static const char *place(void *ctx, NodeId node)
{
    PlaceCtx *c = ctx;
    return front_place(c->r, c->n, node);
}

int command_graph(Run *r)
{
    const char *format = cli_get(r->cli, OPT_PICTURE), *other = cli_get(r->cli, OPT_COMPARE);
    const char *spec[2] = {r->cli->operands[0], other};
    bool refine = cli_has(r->cli, OPT_REFINE);
    int count = other != NULL || refine ? 2 : 1;
    Net n[2];
    PlaceCtx ctx[2];
    PictureNet nets[2];
    Buf out = {0};
    if (count == 2 && format != NULL && strcmp(format, "dot") == 0)
        return front_fail(r, EXIT_USAGE, "two networks are drawn as svg and html, not dot");
    if (other != NULL && refine)
        return front_fail(r, EXIT_USAGE, "--compare and --refine exclude each other");
    for (int i = 0; i < count; i++) {
        /* A refused network is drawn, too: that is where one looks for the reason. */
        int code = i == 1 && refine ? refined_best(r, &n[0], &n[1])
                                    : front_open(r, spec[i], VERDICTS_SILENT, &n[i]);
        if (i == 1 && refine && code != EXIT_FINE)
            return code;
        if (n[i].elab == NULL || code == EXIT_STOPPED)
            return code;
        if (i == 0 && refine && n[0].an.n[0] < n[0].an.input[0] &&
            n[0].an.n[1] < n[0].an.input[1]) {
            front_note(r, "every layer of '%s' is productive as it is", n[0].elab->graph.name);
            count = 1;
        }
        ctx[i] = (PlaceCtx){r, &n[i]};
        nets[i] = (PictureNet){.elab = n[i].elab,
                               .an = &n[i].an,
                               .role = count == 1 ? NULL
                                       : i == 0   ? "before"
                                                  : "after",
                               .place = place,
                               .place_ctx = &ctx[i]};
    }
    if (format != NULL && strcmp(format, "dot") == 0)
        picture_dot(nets, &out);
    else if (format != NULL && strcmp(format, "html") == 0)
        picture_html(nets, count, &(PictureOptions){0}, &out);
    else
        picture_svg(nets, count, &(PictureOptions){0}, &out);
    return front_write(r, cli_get(r->cli, OPT_OUTPUT), &out);
}
