/* Operations of a warp on small matrices. Which lane holds what is as the PTX manual draws it: with
 * g = lane / 4 and q = lane % 4,
 *   A (16 x K): row g + 8 * (register % 2), columns of q in the (register / 2)-th part of K
 *   B (K x 8):  column g, rows of q in the register-th part of K
 *   C (16 x 8): row g + 8 * (register / 2), column 2 * q + register % 2
 * where q's part is two elements of 16 bits, or one of 32. */
#include "memory.h"
#include "operation.h"
#include <string.h>

typedef struct Rows {
    const Call *call;
    void *address; /* lane 8 * m + r: row r of matrix m */
    uint32_t part[4];
} Rows;

/* The eight rows of matrix m, as one wavefront. */
static void find_rows(Warp *w, void *const *slot, int m, Access access, char *row[8])
{
    uint32_t offset[8];
    Thread *now = block.now;
    for (int r = 0; r < 8; r++) {
        uint32_t lane = (uint32_t)(m * 8 + r);
        const Rows *a = slot[lane];
        block.now = &block.thread[w->first + lane]; /* a fault is that lane's */
        memory_align(a->address, 16, a->call->site);
        row[r] = memory_access(a->address, 16, access, SPACE_SHARED, a->call->site);
        offset[r] = shared_offset((uintptr_t)a->address);
    }
    block.now = now;
    bank_rows(offset);
}

static bool all_there(uint32_t mask)
{
    return mask == UINT32_MAX; /* sync.c has reported it */
}

/* Elements of 16 bits: lane 4 * r + c / 2 holds columns c, c + 1 of row r; transposed, rows and
 * columns change places. */
static void run_ldmatrix(Warp *w, uint32_t mask, void *const *slot)
{
    if (!all_there(mask))
        return;
    int variant = ((const Rows *)slot[0])->call->variant, n = variant & ~LDMATRIX_TRANS;
    for (int m = 0; m < n; m++) {
        char *row[8], tile[8][16];
        find_rows(w, slot, m, ACCESS_LOAD, row);
        for (int r = 0; r < 8; r++)
            memcpy(tile[r], row[r], 16);
        for (int l = 0; l < LANES; l++)
            for (int k = 0; k < 2; k++) {
                int r = l / 4, c = 2 * (l % 4) + k;
                const char *from = variant & LDMATRIX_TRANS ? tile[c] + 2 * r : tile[r] + 2 * c;
                memcpy((char *)&((Rows *)slot[l])->part[m] + 2 * k, from, 2);
            }
    }
}

static void run_stmatrix(Warp *w, uint32_t mask, void *const *slot)
{
    if (!all_there(mask))
        return;
    int variant = ((const Rows *)slot[0])->call->variant, n = variant & ~LDMATRIX_TRANS;
    for (int m = 0; m < n; m++) {
        char *row[8];
        find_rows(w, slot, m, ACCESS_STORE, row);
        for (int l = 0; l < LANES; l++)
            for (int k = 0; k < 2; k++) {
                int r = l / 4, c = 2 * (l % 4) + k;
                char *to = variant & LDMATRIX_TRANS ? row[c] + 2 * r : row[r] + 2 * c;
                memcpy(to, (const char *)&((const Rows *)slot[l])->part[m] + 2 * k, 2);
            }
    }
}

void op_ldmatrix(const Call *c, const Word *in, Word *out)
{
    static const WarpOp op = {"ldmatrix", true, run_ldmatrix};
    Rows mine = {c, in[0].ptr, {0}};
    warp_meet(c->site, UINT32_MAX, &op, &mine);
    for (int m = 0; m < (c->variant & ~LDMATRIX_TRANS); m++)
        out[m].u64 = mine.part[m];
}

/* Inline assembly: the address as 32 bits, then the registers. */
void op_stmatrix(const Call *c, const Word *in, Word *out)
{
    static const WarpOp op = {"stmatrix", true, run_stmatrix};
    (void)out;
    Rows mine = {c, shared_arena() + shared_offset(in[0].u64), {0}};
    for (unsigned m = 0; m + 1 < c->n && m < 4; m++)
        mine.part[m] = in[1 + m].u32;
    warp_meet(c->site, UINT32_MAX, &op, &mine);
}

typedef struct Fragments {
    const Call *call;
    const Word *in;
    float d[4];
} Fragments;

/* Element z of a register. tf32 operands are read without their low 13 bits. */
static float element(int variant, uint32_t word, int z)
{
    uint16_t part = (uint16_t)(word >> 16 * z);
    if (variant == MMA_BF16)
        return bf16_to_float(part);
    if (variant == MMA_F16)
        return half_to_float(part);
    word &= ~0x1fffu;
    float f;
    memcpy(&f, &word, sizeof f);
    return f;
}

static void gather(void *const *slot, int variant, int na, float a[16][16], float b[16][8],
                   float c[16][8])
{
    int per = variant == MMA_TF32 ? 1 : 2, part = 4 * per; /* columns of A in one register */
    for (int l = 0; l < LANES; l++) {
        const Word *in = ((const Fragments *)slot[l])->in;
        int g = l / 4, q = l % 4;
        for (int z = 0; z < per; z++) {
            for (int k = 0; k < na; k++)
                a[g + 8 * (k % 2)][k / 2 * part + q * per + z] = element(variant, in[k].u32, z);
            for (int k = 0; k < na / 2; k++)
                b[k * part + q * per + z][g] = element(variant, in[na + k].u32, z);
        }
        for (int k = 0; k < 4; k++)
            c[g + 8 * (k / 2)][2 * q + k % 2] = in[na + na / 2 + k].f32;
    }
}

static void run_mma(Warp *w, uint32_t mask, void *const *slot)
{
    static float a[16][16], b[16][8], c[16][8];
    (void)w;
    if (!all_there(mask))
        return;
    const Call *call = ((const Fragments *)slot[0])->call;
    int na = call->n == 10 ? 4 : 2;
    int depth = na / 2 * (call->variant == MMA_TF32 ? 4 : 8);
    gather(slot, call->variant, na, a, b, c);
    for (int l = 0; l < LANES; l++)
        for (int k = 0; k < 4; k++) {
            int row = l / 4 + 8 * (k / 2), column = 2 * (l % 4) + k % 2;
            double sum = c[row][column];
            for (int z = 0; z < depth; z++)
                sum += (double)a[row][z] * b[z][column];
            ((Fragments *)slot[l])->d[k] = (float)sum;
        }
    report.matrix_ops++;
}

void op_mma(const Call *c, const Word *in, Word *out)
{
    static const WarpOp op = {"mma", true, run_mma};
    Fragments mine = {c, in, {0}};
    warp_meet(c->site, UINT32_MAX, &op, &mine);
    for (int k = 0; k < 4; k++) {
        out[k].u64 = 0;
        out[k].f32 = mine.d[k];
    }
}
