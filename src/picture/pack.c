/* Units side by side in their lane, lanes side by side in rows: read like text. */
#include "picture/layout.h"
#include "picture/model.h"
#include "picture/text.h"

static void pack_lane(Lane *l, int width)
{
    int x = LANE_PAD, y = LANE_TITLE, row = 0, right = 0;
    uint32_t first = 0;
    for (uint32_t i = 0; i < l->units.len; i++) {
        Unit *u = &l->units.at[i];
        if (i > first && x + u->w + LANE_PAD > width) {
            x = LANE_PAD;
            y += row + UNIT_SKIP;
            row = 0;
            first = i;
        }
        u->first_of_row = i == first;
        u->x = x;
        u->y = y;
        x += u->w + UNIT_GAP;
        right = u->x + u->w > right ? u->x + u->w : right;
        row = u->h > row ? u->h : row;
        for (uint32_t k = first; k <= i; k++) /* centred on the row */
            l->units.at[k].y = y + (row - l->units.at[k].h) / 2;
    }
    int title = text_width(l->title, TITLE_SIZE, true) + 14 +
                text_width(l->facts, FACTS_SIZE, false) + LANE_PAD;
    l->w = (right > title ? right : title) + LANE_PAD;
    l->h = y + row + LANE_PAD;
}

/* Lanes of a row are as high as the highest. */
static void finish_row(Model *m, uint32_t first, uint32_t end, int h)
{
    for (uint32_t i = first; i < end; i++) {
        Lane *l = &m->lanes.at[i];
        for (uint32_t k = 0; k < l->units.len; k++)
            l->units.at[k].y += (h - l->h) / 2;
        l->h = h;
    }
}

static void pack(Model *m, int width)
{
    int x = 0, y = 0, row = 0;
    uint32_t first = 0;
    m->w = 0;
    for (uint32_t i = 0; i < m->lanes.len; i++) {
        Lane *l = &m->lanes.at[i];
        pack_lane(l, width);
        if (i > first && x + l->w > width) {
            finish_row(m, first, i, row);
            x = 0;
            y += row + ROW_SKIP;
            row = 0;
            first = i;
        }
        l->x = x;
        l->y = y;
        x += l->w + LANE_GAP;
        row = l->h > row ? l->h : row;
        m->w = l->x + l->w > m->w ? l->x + l->w : m->w;
    }
    finish_row(m, first, m->lanes.len, row);
    m->h = y + row;
}

void layout_pack(Model *m, int width, int least)
{
    /* the width that leaves least of the page empty, with some preference for narrow ones */
    enum { NARROW = 920, WIDE = 1480, STEP = 40 };
    int64_t smallest = INT64_MAX;
    int best = width;
    for (int w = NARROW; width == 0 && w <= WIDE; w += STEP) {
        pack(m, w);
        int64_t area = (int64_t)(m->w > NARROW ? m->w : NARROW) * m->h;
        if (area < smallest) {
            smallest = area;
            best = w;
        }
    }
    pack(m, best);
    m->w = m->w < least ? least : m->w;
    /* the last lane of a row reaches the edge */
    for (uint32_t i = 0; i < m->lanes.len; i++) {
        Lane *l = &m->lanes.at[i];
        if (i + 1 == m->lanes.len || l[1].x == 0)
            l->w = m->w - l->x;
    }
}
