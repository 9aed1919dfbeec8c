/* Items of a unit in columns, by the longest way from its inputs; the order inside columns by
 * barycentres (Sugiyama, Tagawa, Toda 1981); heights by averaging neighbours. All in whole numbers,
 * so that every machine draws the same. */
#include "picture/layout.h"
#include "picture/model.h"
#include "picture/text.h"
#include <string.h>

enum { FINE = 16 /* parts of a pixel while heights are averaged */, MOST_BENDS = 20000 };

typedef struct Grid {
    Arena *a;
    Unit *u;
    uint32_t **at; /* items of a column, top to bottom */
    uint32_t *count;
    int64_t *y, *want, *weight; /* by item */
    uint32_t *rank;             /* by item: position in its column */
} Grid;

static int widest(const char *a, int size, bool bold, int w)
{
    int v = a != NULL ? text_width(a, size, bold) : 0;
    return v > w ? v : w;
}

static void measure(Item *it)
{
    switch (it->kind) {
    case ITEM_LAYER: {
        int w = widest(it->head, HEAD_SIZE, true, 44);
        w = widest(it->sub, SUB_SIZE, false, w);
        int more = (it->before ? text_width(it->before, SMALL_SIZE, false) + 12 : 0) +
                   (it->after ? text_width(it->after, SMALL_SIZE, false) + 12 : 0) +
                   (it->before && it->after ? 14 : 0);
        it->w = BAR + 6 + (more > w ? more : w) + 6;
        it->h = it->before != NULL || it->after != NULL ? 45 : 34;
        break;
    }
    case ITEM_SMALL:
    case ITEM_MERGE:
        it->w = text_width(it->head, SUB_SIZE, false) + 12;
        if (it->after != NULL)
            it->w += text_width(it->after, SMALL_SIZE, false) + 6;
        it->w = it->w < 20 ? 20 : it->w;
        it->h = 20;
        break;
    case ITEM_FROM:
        it->w = text_width(it->head, SMALL_SIZE, false) + 12;
        it->h = 17;
        break;
    case ITEM_IN:
    case ITEM_OUT:
    case ITEM_BEND:
        it->w = 0;
        it->h = 4;
        break;
    case ITEM_GONE: it->w = it->h = 0; break;
    }
}

/* Edges lead from lower to higher items, so one pass finds the longest ways. */
static void set_columns(Unit *u)
{
    uint32_t last = 0;
    for (uint32_t i = 0; i < u->items.len; i++)
        for (uint32_t k = 0; k < u->edges.len; k++) {
            const Edge *e = &u->edges.at[k];
            if (e->to == i && u->items.at[i].column <= u->items.at[e->from].column)
                u->items.at[i].column = u->items.at[e->from].column + 1;
        }
    for (uint32_t i = 0; i < u->items.len; i++) {
        Item *it = &u->items.at[i];
        last = it->column > last ? it->column : last;
        if (it->kind != ITEM_FROM) /* beside what takes it */
            continue;
        uint32_t first = UINT32_MAX;
        for (uint32_t k = 0; k < u->edges.len; k++) {
            uint32_t c = u->items.at[u->edges.at[k].to].column;
            if (u->edges.at[k].from == i && c < first)
                first = c;
        }
        it->column = first == UINT32_MAX ? 0 : first - 1;
    }
    for (uint32_t i = 0; i < u->items.len; i++)
        if (u->items.at[i].kind == ITEM_OUT)
            u->items.at[i].column = last;
    u->columns = last + 1;
}

/* Gives every edge that passes columns a place in each of them; edges from one item share them. */
static void add_bends(Grid *g)
{
    Unit *u = g->u;
    uint32_t *bend = arena_new_n(g->a, uint32_t, u->columns), made = 0, n = u->items.len;
    VEC(Edge) edges = {0};
    for (uint32_t s = 0; s < n; s++) {
        memset(bend, 0, u->columns * sizeof *bend);
        for (uint32_t k = 0; k < u->edges.len; k++) {
            Edge e = u->edges.at[k];
            if (e.from != s)
                continue;
            uint32_t from = s, to = u->items.at[e.to].column;
            for (uint32_t c = u->items.at[s].column + 1; c < to && made < MOST_BENDS; c++) {
                if (bend[c] == 0) {
                    Item b = {.kind = ITEM_BEND, .column = c};
                    measure(&b);
                    vec_push(g->a, &u->items, b);
                    bend[c] = u->items.len - 1;
                    made++;
                    vec_push(g->a, &edges, ((Edge){from, bend[c]}));
                }
                from = bend[c];
            }
            vec_push(g->a, &edges, ((Edge){from, e.to}));
        }
    }
    u->edges.at = edges.at;
    u->edges.len = edges.len;
    u->edges.cap = edges.cap;
}

static void fill_grid(Grid *g)
{
    Unit *u = g->u;
    uint32_t n = u->items.len;
    g->at = arena_new_n(g->a, uint32_t *, u->columns);
    g->count = arena_new_n(g->a, uint32_t, u->columns);
    g->rank = arena_new_n(g->a, uint32_t, n);
    g->y = arena_new_n(g->a, int64_t, n);
    g->want = arena_new_n(g->a, int64_t, n);
    g->weight = arena_new_n(g->a, int64_t, n);
    for (uint32_t i = 0; i < n; i++)
        g->count[u->items.at[i].column] += u->items.at[i].kind != ITEM_GONE;
    for (uint32_t c = 0; c < u->columns; c++) {
        g->at[c] = arena_new_n(g->a, uint32_t, g->count[c]);
        g->count[c] = 0;
    }
    for (uint32_t i = 0; i < n; i++) {
        const Item *it = &u->items.at[i];
        if (it->kind == ITEM_GONE)
            continue;
        g->rank[i] = g->count[it->column];
        g->at[it->column][g->count[it->column]++] = i;
    }
}

/* Sums over the neighbours on one side, or on both, into want and weight. */
static void ask_neighbours(Grid *g, bool left, bool right, bool ranks)
{
    const Unit *u = g->u;
    memset(g->want, 0, u->items.len * sizeof *g->want);
    memset(g->weight, 0, u->items.len * sizeof *g->weight);
    for (uint32_t k = 0; k < u->edges.len; k++) {
        Edge e = u->edges.at[k];
        int bends = (u->items.at[e.from].kind == ITEM_BEND) + (u->items.at[e.to].kind == ITEM_BEND);
        int64_t w = ranks ? 1 : bends == 2 ? 8 : bends == 1 ? 2 : 3; /* long lines run straight */
        int64_t from = ranks ? (int64_t)g->rank[e.from] * 1024 : g->y[e.from];
        int64_t to = ranks ? (int64_t)g->rank[e.to] * 1024 : g->y[e.to];
        if (left) {
            g->want[e.to] += w * from;
            g->weight[e.to] += w;
        }
        if (right) {
            g->want[e.from] += w * to;
            g->weight[e.from] += w;
        }
    }
}

/* Sorts a column by where its neighbours are; those without any stay where they are. */
static void sort_column(Grid *g, uint32_t c)
{
    uint32_t *at = g->at[c], n = g->count[c];
    for (uint32_t i = 0; i < n; i++) {
        int64_t w = g->weight[at[i]];
        g->want[at[i]] = w > 0 ? g->want[at[i]] / w : (int64_t)g->rank[at[i]] * 1024;
    }
    for (uint32_t i = 1; i < n; i++) /* insertion: stable, and nearly sorted mostly */
        for (uint32_t k = i; k > 0 && g->want[at[k]] < g->want[at[k - 1]]; k--) {
            uint32_t t = at[k];
            at[k] = at[k - 1];
            at[k - 1] = t;
        }
    for (uint32_t i = 0; i < n; i++)
        g->rank[at[i]] = i;
}

static uint64_t crossings(const Grid *g)
{
    const Unit *u = g->u;
    uint64_t n = 0;
    for (uint32_t i = 0; i < u->edges.len; i++)
        for (uint32_t k = i + 1; k < u->edges.len; k++) {
            Edge a = u->edges.at[i], b = u->edges.at[k];
            if (u->items.at[a.to].column != u->items.at[b.to].column)
                continue;
            int64_t l = (int64_t)g->rank[a.from] - g->rank[b.from];
            int64_t r = (int64_t)g->rank[a.to] - g->rank[b.to];
            n += (l < 0 && r > 0) || (l > 0 && r < 0);
        }
    return n;
}

static void order_columns(Grid *g)
{
    Unit *u = g->u;
    uint32_t n = u->items.len;
    uint32_t *best = arena_new_n(g->a, uint32_t, n);
    bool counted = u->edges.len <= 1500;
    uint64_t least = counted ? crossings(g) : UINT64_MAX;
    memcpy(best, g->rank, n * sizeof *best);
    for (int sweep = 0; sweep < 10 && least > 0; sweep++) {
        for (uint32_t i = 0; i < u->columns; i++) {
            uint32_t c = sweep % 2 == 0 ? i : u->columns - 1 - i;
            ask_neighbours(g, sweep % 2 == 0, sweep % 2 == 1, true);
            sort_column(g, c);
        }
        uint64_t now = counted ? crossings(g) : 0;
        if (now < least || !counted) {
            least = counted ? now : UINT64_MAX;
            memcpy(best, g->rank, n * sizeof *best);
        }
    }
    for (uint32_t i = 0; i < n; i++)
        if (u->items.at[i].kind != ITEM_GONE)
            g->at[u->items.at[i].column][best[i]] = i;
    memcpy(g->rank, best, n * sizeof *best);
}

static int64_t distance(const Unit *u, uint32_t above, uint32_t below)
{
    const Item *a = &u->items.at[above], *b = &u->items.at[below];
    return FINE * ((a->h + b->h) / 2 + ROW_GAP);
}

/* The heights nearest to the wanted ones that keep order and distances: pooled adjacent violators.
 */
static void place_column(Grid *g, uint32_t c)
{
    const uint32_t *at = g->at[c];
    uint32_t n = g->count[c], blocks = 0;
    int64_t *sum = arena_new_n(g->a, int64_t, n), *mass = arena_new_n(g->a, int64_t, n);
    uint32_t *len = arena_new_n(g->a, uint32_t, n);
    int64_t shift = 0;
    for (uint32_t i = 0; i < n; i++) {
        int64_t w = g->weight[at[i]] > 0 ? g->weight[at[i]] : 1;
        int64_t want = g->weight[at[i]] > 0 ? g->want[at[i]] / w : g->y[at[i]];
        shift += i > 0 ? distance(g->u, at[i - 1], at[i]) : 0;
        sum[blocks] = w * (want - shift);
        mass[blocks] = w;
        len[blocks++] = 1;
        while (blocks > 1 &&
               sum[blocks - 2] / mass[blocks - 2] > sum[blocks - 1] / mass[blocks - 1]) {
            blocks--;
            sum[blocks - 1] += sum[blocks];
            mass[blocks - 1] += mass[blocks];
            len[blocks - 1] += len[blocks];
        }
    }
    shift = 0;
    for (uint32_t b = 0, i = 0; b < blocks; b++)
        for (uint32_t k = 0; k < len[b]; k++, i++) {
            shift += i > 0 ? distance(g->u, at[i - 1], at[i]) : 0;
            g->y[at[i]] = sum[b] / mass[b] + shift;
        }
}

static void set_heights(Grid *g)
{
    Unit *u = g->u;
    for (uint32_t c = 0; c < u->columns; c++)
        for (uint32_t i = 1; i < g->count[c]; i++)
            g->y[g->at[c][i]] = g->y[g->at[c][i - 1]] + distance(u, g->at[c][i - 1], g->at[c][i]);
    for (int sweep = 0; sweep < 9; sweep++)
        for (uint32_t i = 0; i < u->columns; i++) {
            bool last = sweep == 8, right = sweep % 2 == 0;
            ask_neighbours(g, right || last, !right || last, false);
            place_column(g, right ? i : u->columns - 1 - i);
        }
}

/* Coordinates from the grid: columns as wide as their widest item. */
static void set_places(Grid *g)
{
    Unit *u = g->u;
    int64_t top = INT64_MAX, bottom = INT64_MIN;
    int x = 0, above = u->title != NULL ? UNIT_TITLE + UNIT_PAD : 0;
    for (uint32_t c = 0; c < u->columns; c++) {
        int w = 0;
        for (uint32_t i = 0; i < g->count[c]; i++) {
            uint32_t n = g->at[c][i];
            int64_t half = FINE * u->items.at[n].h / 2;
            w = u->items.at[n].w > w ? u->items.at[n].w : w;
            top = g->y[n] - half < top ? g->y[n] - half : top;
            bottom = g->y[n] + half > bottom ? g->y[n] + half : bottom;
        }
        if (w > 0 && x == 0 && u->title != NULL)
            x = UNIT_PAD;
        for (uint32_t i = 0; i < g->count[c]; i++) {
            Item *it = &u->items.at[g->at[c][i]];
            it->x = it->kind == ITEM_IN ? 0 : it->kind == ITEM_FROM ? x : x + (w - it->w) / 2;
        }
        x += w + (c + 1 < u->columns ? COLUMN_GAP : 0);
    }
    for (uint32_t i = 0; i < u->items.len; i++)
        u->items.at[i].y = above + (int)((g->y[i] - top) / FINE);
    u->h = above + (int)((bottom - top) / FINE) + (u->title != NULL ? UNIT_PAD : 0);
    u->w = x;
}

void layout_unit(Arena *a, Unit *u)
{
    Grid g = {.a = a, .u = u};
    if (u->bare) { /* the links between units lead up to it */
        u->edges.len = 0;
        for (uint32_t i = 0; i < u->items.len; i++)
            if (u->items.at[i].kind == ITEM_IN || u->items.at[i].kind == ITEM_OUT)
                u->items.at[i].kind = ITEM_GONE;
    }
    for (uint32_t i = 0; i < u->items.len; i++)
        measure(&u->items.at[i]);
    set_columns(u);
    add_bends(&g);
    fill_grid(&g);
    order_columns(&g);
    set_heights(&g);
    set_places(&g);
    int title = u->title == NULL ? 0 : text_width(u->title, UNIT_SIZE, false) + 2 * UNIT_PAD + 44;
    u->w = u->w < title ? title : u->w;
    u->port_in = u->port_out = u->h / 2;
    for (uint32_t i = 0; i < u->items.len; i++) {
        Item *it = &u->items.at[i];
        if (it->kind == ITEM_OUT) {
            it->x = u->w;
            u->port_out = it->y;
        } else if (it->kind == ITEM_IN) {
            u->port_in = it->y;
        }
    }
}
