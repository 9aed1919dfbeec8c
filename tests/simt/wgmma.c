/* Products of a warp group, 64 x N x 32 bytes, from shared memory. They run beside the threads:
 * until wgmma.wait_group the accumulators hold NaN, whose payload says where the sum waits, and
 * what they read may not be written. Operands are K-major; descriptors say where rows of 8 begin.
 */
#include "bulk.h"
#include "memory.h"
#include "operation.h"
#include "wgmma.h"
#include <stdlib.h>
#include <string.h>

enum { GROUP = 128, ROWS = 64, MOST = 256, RING = 4096, READS = 8192 };

/* Sums that wait, by the number in the NaN. */
typedef struct Sum {
    float value;
    uint32_t group; /* which commit_group it belongs to */
} Sum;

typedef struct Read {
    uint32_t offset, group, site;
} Read;

typedef struct Fragment {
    const Call *call;
    const Word *in;
    float d[MOST / 2];
} Fragment;

typedef struct Group {
    void *slot[GROUP];
    uint32_t arrived;
    Read *read; /* what products under way read, 16 bytes each; made at the first */
    int reads;
} Group;

static Sum sums[MAX_THREADS][RING];
static uint32_t next_sum[MAX_THREADS], open_group[MAX_THREADS];
static Group groups[MAX_THREADS / GROUP];

void wgmma_reset(void)
{
    memset(next_sum, 0, sizeof next_sum);
    memset(open_group, 0, sizeof open_group);
    for (int i = 0; i < MAX_THREADS / GROUP; i++)
        groups[i].arrived = 0;
}

static bool checked(void)
{
    return module_flags(block.module) & SIMT_CHECK;
}

void wgmma_end(void)
{
    for (int i = 0; i < MAX_THREADS / GROUP; i++) {
        for (int k = 0; k < groups[i].reads; k++)
            race_reading(groups[i].read[k].offset, 16, -1);
        groups[i].reads = 0;
    }
}

static uint32_t bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float waiting(uint32_t number)
{
    uint32_t u = 0xffc00000 | (number + 1);
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

/* The sum that an accumulator waits for, or NULL for a plain number. */
static Sum *sum_of(uint32_t thread, float f)
{
    uint32_t number = (bits(f) & 0x3fffff) - 1;
    return (bits(f) & 0xffc00000) == 0xffc00000 && number < RING ? &sums[thread][number] : NULL;
}

/* Row r, 16-byte chunk `chunk` of an operand: where it lies. Bits of a descriptor: 0-13 the start,
 * 32-45 from 8 rows to the next 8, both in 16 bytes; 62-63 the swizzle. */
static uint32_t chunk_offset(uint64_t descriptor, int r, int chunk)
{
    static const uint32_t row_bytes[] = {0, 128, 64, 32};
    uint32_t row = row_bytes[descriptor >> 62];
    uint32_t start = (uint32_t)(descriptor & 0x3fff) << 4;
    uint32_t step = (uint32_t)(descriptor >> 32 & 0x3fff) << 4;
    /* 18 bits of an address: the arena begins at a multiple of more */
    return bulk_swizzled(
        start + (uint32_t)(r / 8) * step + (uint32_t)(r % 8) * row + (uint32_t)chunk * 16, row);
}

static float element(int type, const char *p, int i)
{
    uint16_t h;
    uint32_t u;
    float f;
    if (type != WGMMA_TF32) {
        memcpy(&h, p + 2 * i, 2);
        return type == WGMMA_BF16 ? bf16_to_float(h) : half_to_float(h);
    }
    memcpy(&u, p + 4 * i, 4);
    u &= ~0x1fffu;
    memcpy(&f, &u, 4);
    return f;
}

/* Reads `rows` rows of 32 bytes, and remembers that they are being read. */
static void fetch(Group *g, const Call *c, uint64_t descriptor, int rows, float out[][16])
{
    int type = c->variant >> WGMMA_TYPE, per = type == WGMMA_TF32 ? 4 : 8;
    uint32_t group = open_group[block.now->id];
    for (int r = 0; r < rows; r++)
        for (int chunk = 0; chunk < 2; chunk++) {
            uint32_t offset = chunk_offset(descriptor, r, chunk);
            const char *p =
                memory_access(shared_arena() + offset, 16, ACCESS_LOAD, SPACE_SHARED, c->site);
            if (checked() && p == shared_arena() + offset)
                proxy_read(offset, 16, c->site);
            for (int i = 0; i < per; i++)
                out[r][chunk * per + i] = element(type, p, i);
            if (checked() && p == shared_arena() + offset && g->reads < READS) {
                g->read[g->reads++] = (Read){offset, group, c->site};
                race_reading(offset, 16, 1);
            }
        }
}

static bool uniform(const Group *g)
{
    const Fragment *first = g->slot[0];
    int n = first->call->variant & WGMMA_N;
    for (int i = 1; i < GROUP; i++) {
        const Fragment *f = g->slot[i];
        if (f->call != first->call || f->in[n / 2].u64 != first->in[n / 2].u64 ||
            f->in[n / 2 + 1].u64 != first->in[n / 2 + 1].u64)
            return false;
    }
    return true;
}

/* One thread's part: rows of its warp's 16, two columns of every 8. */
static void multiply(Fragment *f, int thread, int n, int depth, float a[][16], float b[][16])
{
    int lane = thread % LANES;
    bool add = f->in[n / 2 + 2].u32 & 1;
    for (int i = 0; i < n / 2; i++) {
        int row = thread / LANES * 16 + lane / 4 + 8 * (i / 2 % 2);
        int column = i / 4 * 8 + lane % 4 * 2 + i % 2;
        const Sum *had = sum_of(block.now->id + (uint32_t)thread, f->in[i].f32);
        double sum = !add ? 0 : had ? had->value : f->in[i].f32;
        for (int k = 0; k < depth; k++)
            sum += (double)a[row][k] * b[column][k];
        f->d[i] = (float)sum;
    }
}

static void run(Group *g, uint32_t first)
{
    static float a[ROWS][16], b[MOST][16];
    const Fragment *lead = g->slot[0];
    const Call *c = lead->call;
    int n = c->variant & WGMMA_N, depth = c->variant >> WGMMA_TYPE == WGMMA_TF32 ? 8 : 16;
    Thread *now = block.now;
    if (!uniform(g)) {
        fault(SIMT_ILLEGAL, c->site, NO_SITE, "threads of the group differ in what they multiply");
        return;
    }
    block.now = &block.thread[first];
    fetch(g, c, lead->in[n / 2].u64, ROWS, a);
    fetch(g, c, lead->in[n / 2 + 1].u64, n, b);
    for (int i = 0; i < GROUP; i++)
        multiply(g->slot[i], i, n, depth, a, b);
    block.now = now;
    report.matrix_ops++;
}

static void meet(Group *g, uint32_t site, Fragment *f)
{
    Thread *t = block.now;
    uint32_t first = t->id / GROUP * GROUP;
    t->state = AT_GROUP;
    t->site = site;
    g->slot[t->id - first] = f;
    if (++g->arrived == GROUP) {
        g->arrived = 0;
        run(g, first);
        for (uint32_t i = 0; i < GROUP; i++)
            thread_ready(&block.thread[first + i]);
    }
    if (t->state != READY)
        thread_yield();
}

void op_wgmma(const Call *c, const Word *in, Word *out)
{
    uint32_t id = block.now->id;
    Group *g = &groups[id / GROUP];
    int n = c->variant & WGMMA_N;
    bool transposed =
        c->variant >> WGMMA_TYPE != WGMMA_TF32 && (in[n / 2 + 5].u32 | in[n / 2 + 6].u32);
    bool plain = !(in[n / 2].u64 >> 62) || !(in[n / 2 + 1].u64 >> 62);
    if (!g->read)
        g->read = malloc(READS * sizeof *g->read);
    if (n < 8 || n > MOST || n % 8 || transposed || plain || !g->read) {
        fault(SIMT_ILLEGAL, c->site, NO_SITE, "a form of wgmma that the emulator does not know");
        return;
    }
    Fragment *f = malloc(sizeof *f); /* large for a fiber's stack */
    if (!f)
        abort();
    *f = (Fragment){.call = c, .in = in};
    meet(g, c->site, f);
    for (int i = 0; i < n / 2; i++) {
        uint32_t number = next_sum[id]++ % RING;
        sums[id][number] = (Sum){f->d[i], open_group[id]};
        out[i].u64 = 0;
        out[i].f32 = waiting(number);
    }
    free(f);
}

void op_wgmma_commit(const Call *c, const Word *in, Word *out)
{
    (void)c;
    (void)in;
    (void)out;
    open_group[block.now->id]++;
}

/* What the products of groups before `done` read may be written again, by who is ordered after this
 * thread, the first of its group. */
static void retire(Group *g, uint32_t done)
{
    int kept = 0;
    for (int i = 0; i < g->reads; i++) {
        Read r = g->read[i];
        if (r.group >= done) {
            g->read[kept++] = r;
            continue;
        }
        race_reading(r.offset, 16, -1);
        memory_access(shared_arena() + r.offset, 16, ACCESS_LOAD, SPACE_SHARED, r.site);
    }
    g->reads = kept;
}

/* The operands are how many groups may be under way, and the accumulators, which pass through. */
void op_wgmma_wait(const Call *c, const Word *in, Word *out)
{
    uint32_t id = block.now->id, left = in[0].u32;
    uint32_t done = open_group[id] > left ? open_group[id] - left : 0;
    if (id % GROUP == 0)
        retire(&groups[id / GROUP], done);
    for (unsigned i = 0; i + 1 < c->n; i++) {
        const Sum *s = sum_of(id, in[1 + i].f32);
        out[i].u64 = bits(s && s->group < done ? s->value : in[1 + i].f32);
    }
}
