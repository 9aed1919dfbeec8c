/* Colours and faces. Class names are short, as there are thousands of them in a picture. */
#include "picture/layout.h"
#include "picture/svg.h"
#include "picture/text.h"

typedef struct Shades {
    const char *page, *lane, *lane_edge, *unit, *unit_edge, *ink, *soft, *faint, *line, *pill;
    const char *path[2], *input;
} Shades;

static const Shades light = {.page = "#ffffff",
                             .lane = "#f6f7f9",
                             .lane_edge = "#d5d9e0",
                             .unit = "#ffffff",
                             .unit_edge = "#b4bac5",
                             .ink = "#15181d",
                             .soft = "#4a515c",
                             .faint = "#dfe3e9",
                             .line = "#7a828e",
                             .pill = "#e9ecf1",
                             .path = {"#0072b2", "#a3487f"},
                             .input = "#15181d"};
static const Shades dark = {.page = "#15171b",
                            .lane = "#1d2026",
                            .lane_edge = "#363b45",
                            .unit = "#15171b",
                            .unit_edge = "#4c5360",
                            .ink = "#eceff4",
                            .soft = "#b3bac6",
                            .faint = "#2c313a",
                            .line = "#8a93a1",
                            .pill = "#2c313a",
                            .path = {"#56b4e9", "#e39ac6"},
                            .input = "#eceff4"};

static void lanes_style(Buf *out, const Shades *s)
{
    buf_printf(out, ".bg{fill:%s}\n.n{fill:%s;stroke:%s}\n", s->page, s->lane, s->lane_edge);
    buf_printf(out, ".u{fill:%s;stroke:%s}\n.k{fill:none;stroke:%s}\n", s->unit, s->unit_edge,
               s->unit_edge);
    buf_printf(out, ".e,.a{fill:none;stroke:%s;stroke-width:1.2}\n.a{marker-end:url(#arrow)}\n",
               s->line);
    buf_printf(out, ".g{fill:none;stroke:%s;stroke-width:2.4;stroke-dasharray:5 2}\n", s->ink);
    buf_printf(out, ".ah{fill:%s}\n.m,.o{fill:%s;stroke:%s}\n", s->line, s->pill, s->line);
    buf_printf(out, ".r{fill:%s;stroke:%s;stroke-dasharray:3 2}\n", s->unit, s->line);
    buf_printf(out, ".pt,.nt,.h,.ur{font-weight:bold;fill:%s}\n", s->ink);
    buf_printf(out, ".pf,.nf,.s,.t,.ut,.tm,.sm,.kt{fill:%s}\n", s->soft);
    buf_printf(out,
               ".pt{font-size:20px}.pf{font-size:12px}.nt{font-size:%dpx}.nf{font-size:%dpx}\n",
               TITLE_SIZE, FACTS_SIZE);
    buf_printf(out,
               ".h{font-size:%dpx}.s,.kt,.sm,.ut,.ur{font-size:%dpx}.t,.tm{font-size:%dpx}\n"
               ".tm,.sm{text-anchor:middle}.ur{text-anchor:end}\n",
               HEAD_SIZE, SUB_SIZE, SMALL_SIZE);
    buf_add(out, ".c{font-size:11px;font-weight:bold;text-anchor:middle;fill:#000}\n");
}

static void chart_style(Buf *out, const Shades *s)
{
    buf_printf(out, ".q{stroke:%s}.qe,.qm{font-size:10px;fill:%s}\n", s->faint, s->soft);
    buf_add(out, ".qe{text-anchor:end}.qm{text-anchor:middle}\n");
    buf_printf(out, ".w{stroke:%s;stroke-dasharray:2 3}.ws{font-size:%dpx;fill:%s}\n", s->unit_edge,
               SMALL_SIZE, s->soft);
    buf_printf(out, ".w1{stroke:%s;stroke-dasharray:2 3}.ws1{font-size:%dpx;fill:%s}\n", s->path[1],
               SMALL_SIZE, s->path[1]);
    buf_printf(out, ".i{stroke:%s;stroke-width:1.6;stroke-dasharray:7 3}\n", s->input);
    buf_printf(out, ".il,.nl,.nl0,.nl1{font-size:10px;font-weight:bold;fill:%s}\n", s->ink);
    for (int i = 0; i < 2; i++) {
        buf_printf(out, ".p%d{fill:none;stroke:%s;stroke-width:2}", i, s->path[i]);
        buf_printf(out, ".x%d{fill:none;stroke:%s;stroke-dasharray:1 3;stroke-width:1.4}\n", i,
                   i == 0 ? s->line : s->path[1]);
    }
    buf_printf(out, ".nl,.nl0{fill:%s}.nl1{fill:%s}\n", s->path[0], s->path[1]);
    buf_printf(out, ".d{stroke:%s;stroke-width:.6}\n", s->ink);
    buf_printf(out, ".z,.zc{fill:none;stroke:%s;stroke-width:1.4}\n", s->ink);
    buf_printf(out, ".zb{fill:%s;stroke:%s}.zt{font-size:10px;font-weight:bold;fill:%s}\n", s->page,
               s->ink, s->ink);
}

void draw_style(Buf *out, bool on_dark)
{
    const Shades *s = on_dark ? &dark : &light;
    lanes_style(out, s);
    chart_style(out, s);
    buf_printf(out, ".d.vK{fill:%s}\n", s->soft);
    for (Verdict v = VERDICT_NONE; v <= VERDICT_GLOBAL; v++) {
        const VerdictLook *look = &verdict_look[v];
        char letter = look->letter == '-' ? 'N' : look->letter;
        buf_printf(out, ".v%c .b{fill:%s;stroke:%s}.v%c .f,.d.v%c{fill:%s}\n", letter,
                   on_dark ? look->dark : look->tint, look->colour, letter, letter, look->colour);
    }
}
