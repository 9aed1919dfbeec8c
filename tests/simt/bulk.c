/* Bulk copies into shared memory, of bytes and of boxes of tensors. They land when nothing else can
 * go on, in an order drawn from the seed, and then count their bytes at an mbarrier. */
#include "bulk.h"
#include "mbarrier.h"
#include "memory.h"
#include "operation.h"
#include <stdlib.h>
#include <string.h>

enum { QUEUE = 256, MAGIC = 0x53494d54 };

/* What a tensor map holds here in place of the device's 128 opaque bytes. */
typedef struct Map {
    uint32_t magic;
    uint8_t im2col, rank, element, swizzle; /* swizzle: bytes of a row, 0 for none */
    void *base;
    uint64_t stride[4]; /* bytes from one to the next, from dimension 1 on */
    uint32_t dim[5];
    uint16_t box[5]; /* im2col: channels, pixels */
    int16_t lower[3], upper[3];
    uint8_t step[5];
    uint8_t tf32;
} Map;

_Static_assert(sizeof(Map) <= sizeof(SimtTensorMap), "a tensor map has 128 bytes");

typedef struct Bulk {
    uint32_t site, thread;
    uint32_t to, mbarrier; /* offsets in shared memory */
    uint32_t bytes;
    const void *from; /* bytes; of a tensor: NULL */
    Map map;
    int32_t at[5];
    uint16_t shift[3];
} Bulk;

static Bulk queue[QUEUE];
static int queued;
static uint64_t turn;

bool simt_tensor_map(SimtTensorMap *out, const SimtTensor *t)
{
    Map m = {.magic = MAGIC,
             .im2col = t->im2col,
             .rank = (uint8_t)t->rank,
             .element = (uint8_t)t->element_bytes,
             .swizzle = (uint8_t)t->swizzle_bytes,
             .base = t->base,
             .tf32 = t->round_tf32};
    if (t->rank < 1 || t->rank > 5 || (uintptr_t)t->base % 16)
        return false;
    for (int i = 0; i < t->rank; i++) {
        m.dim[i] = t->dim[i];
        m.box[i] = (uint16_t)t->box[i];
        m.step[i] = (uint8_t)(t->step[i] ? t->step[i] : 1);
        if (i && t->stride[i - 1] % 16)
            return false;
        if (i)
            m.stride[i - 1] = t->stride[i - 1];
        if (!t->im2col && (t->box[i] < 1 || t->box[i] > 256))
            return false;
    }
    uint32_t row = t->box[0] * (uint32_t)t->element_bytes;
    if (row % 16 || (t->swizzle_bytes && row > (uint32_t)t->swizzle_bytes))
        return false;
    for (int i = 0; t->im2col && i < t->rank - 2; i++) {
        m.lower[i] = (int16_t)t->lower[i];
        m.upper[i] = (int16_t)t->upper[i];
    }
    memset(out, 0, sizeof *out);
    memcpy(out, &m, sizeof m);
    return true;
}

uint32_t bulk_swizzled(uint32_t offset, uint32_t row)
{
    return row ? offset ^ ((offset >> 7 & (row / 16 - 1)) << 4) : offset;
}

/* One element to its place; outside the tensor it is 0. */
static void put(const Bulk *b, uint32_t index, const int64_t *at)
{
    const Map *m = &b->map;
    char *to = shared_arena() + bulk_swizzled(b->to + index * m->element, m->swizzle);
    const char *from = (const char *)m->base;
    bool inside = true;
    for (int i = 0; i < m->rank; i++) {
        inside = inside && at[i] >= 0 && at[i] < (int64_t)m->dim[i];
        from += at[i] * (i ? (int64_t)m->stride[i - 1] : m->element);
    }
    if (!inside) {
        memset(to, 0, m->element);
        return;
    }
    memcpy(to, memory_access(from, m->element, ACCESS_LOAD, SPACE_GLOBAL, b->site), m->element);
    if (m->tf32) {
        uint32_t u;
        memcpy(&u, to, 4);
        if ((u & 0x7f800000) != 0x7f800000)
            u = (u + 0x1000) & ~0x1fffu;
        memcpy(to, &u, 4);
    }
}

static void land_tile(const Bulk *b)
{
    const Map *m = &b->map;
    uint32_t n = 1;
    for (int i = 0; i < m->rank; i++)
        n *= m->box[i];
    for (uint32_t k = 0; k < n; k++) {
        int64_t at[5] = {0};
        uint32_t rest = k;
        for (int i = 0; i < m->rank; i++) {
            at[i] = b->at[i] + (int64_t)(rest % m->box[i]) * m->step[i];
            rest /= m->box[i];
        }
        put(b, k, at);
    }
}

/* Pixels one after another: along the innermost space dimension to the end of the bounding box,
 * then the next row, then the next picture. */
static void land_im2col(const Bulk *b)
{
    const Map *m = &b->map;
    int space = m->rank - 2;
    int64_t base[5] = {0};
    for (int i = 0; i < m->rank; i++)
        base[i] = b->at[i];
    for (uint32_t pixel = 0; pixel < m->box[1]; pixel++) {
        for (uint32_t c = 0; c < m->box[0]; c++) {
            int64_t at[5] = {0};
            at[0] = base[0] + c;
            for (int i = 0; i < space; i++)
                at[1 + i] = base[1 + i] + b->shift[i];
            at[1 + space] = base[1 + space];
            put(b, pixel * m->box[0] + c, at);
        }
        int i = 0;
        for (; i < space; i++) {
            base[1 + i] += m->step[1 + i];
            if (base[1 + i] <= (int64_t)m->dim[1 + i] - 1 + m->upper[i])
                break;
            base[1 + i] = m->lower[i];
        }
        if (i == space)
            base[1 + space]++;
    }
}

static void land(Bulk *b)
{
    Thread *now = block.now;
    bool checked = module_flags(block.module) & SIMT_CHECK;
    char *to = shared_arena() + b->to;
    block.now = &block.thread[b->thread];
    if (checked)
        race_flight(b->to, b->bytes, -1);
    if (memory_access(to, b->bytes, ACCESS_STORE, SPACE_SHARED, b->site) == to) {
        if (b->from)
            memcpy(to, memory_access(b->from, b->bytes, ACCESS_LOAD, SPACE_GLOBAL, b->site),
                   b->bytes);
        else if (b->map.im2col)
            land_im2col(b);
        else
            land_tile(b);
        if (checked)
            proxy_written(b->to, b->bytes, true);
    }
    mbarrier_bytes(b->mbarrier + (uintptr_t)shared_arena(), b->thread, -(int64_t)b->bytes, b->site);
    block.now = now;
}

bool bulk_late(void)
{
    if (!queued)
        return false;
    turn = turn * 6364136223846793005u + 1442695040888963407u;
    int i = (int)((turn >> 33) % (uint64_t)queued);
    Bulk b = queue[i];
    queue[i] = queue[--queued];
    land(&b);
    return true;
}

void bulk_end(void)
{
    for (int i = 0; i < queued; i++) {
        block.now = &block.thread[queue[i].thread];
        fault(SIMT_WAIT, queue[i].site, NO_SITE, "the block ends before %u bytes have come",
              queue[i].bytes);
        if (module_flags(block.module) & SIMT_CHECK)
            race_flight(queue[i].to, queue[i].bytes, -1);
    }
    block.now = NULL;
    queued = 0;
}

static void begin(const Bulk *b)
{
    char *to = shared_arena() + b->to;
    memory_align(to, b->map.magic ? 128 : 16, b->site);
    if (queued == QUEUE || !shared_valid(b->to, b->bytes)) {
        fault(SIMT_BOUNDS, b->site, NO_SITE, "%u bytes at offset %u of shared memory", b->bytes,
              b->to);
        return;
    }
    if (module_flags(block.module) & SIMT_CHECK) {
        memory_access(to, b->bytes, ACCESS_STORE, SPACE_SHARED, b->site);
        race_flight(b->to, b->bytes, 1);
    }
    queue[queued++] = *b;
}

/* [to], [from], bytes, [mbarrier] */
void op_bulk(const Call *c, const Word *in, Word *out)
{
    (void)out;
    Bulk b = {.site = c->site,
              .thread = block.now->id,
              .to = shared_offset(in[0].u64),
              .from = in[1].ptr,
              .bytes = in[2].u32,
              .mbarrier = shared_offset(in[3].u64)};
    if (b.bytes % 16 || !b.bytes)
        fault(SIMT_ILLEGAL, c->site, NO_SITE, "a bulk copy of %u bytes", b.bytes);
    else
        begin(&b);
}

/* [to], [map, {coordinates}], [mbarrier], and for im2col {offsets} */
void op_tensor(const Call *c, const Word *in, Word *out)
{
    (void)out;
    int rank = c->variant & ~TENSOR_IM2COL;
    bool im2col = c->variant & TENSOR_IM2COL;
    Bulk b = {.site = c->site,
              .thread = block.now->id,
              .to = shared_offset(in[0].u64),
              .mbarrier = shared_offset(in[2 + rank].u64)};
    memory_align(in[1].ptr, 64, c->site);
    memcpy(&b.map, memory_access(in[1].ptr, sizeof b.map, ACCESS_LOAD, SPACE_GENERIC, c->site),
           sizeof b.map);
    if (b.map.magic != MAGIC || b.map.rank != rank || b.map.im2col != im2col) {
        fault(SIMT_ILLEGAL, c->site, NO_SITE, "not a tensor map of rank %d for %s", rank,
              im2col ? "im2col" : "tiles");
        return;
    }
    for (int i = 0; i < rank; i++)
        b.at[i] = in[2 + i].i32;
    for (int i = 0; im2col && i < rank - 2; i++)
        b.shift[i] = (uint16_t)in[3 + rank + i].u32;
    b.bytes = b.map.element;
    for (int i = 0; i < (im2col ? 2 : rank); i++)
        b.bytes *= b.map.box[i];
    begin(&b);
}
