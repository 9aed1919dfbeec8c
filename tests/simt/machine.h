/* The emulated machine: threads, warps, the block that runs, and what its parts ask of each other.
 * One block runs at a time. Everything here is private to tests/simt. */
#ifndef SIMT_MACHINE_H
#define SIMT_MACHINE_H

#include "simt.h"

enum {
    LANES = 32,
    MAX_THREADS = 1024,
    MAX_WARPS = MAX_THREADS / LANES,
    BARRIERS = 16,
    SHARED_LIMIT = 227 * 1024, /* of a block, from compute capability 9.0 on */
};

/* An operand or a result of an operation: what a register holds. */
typedef union Word {
    uint64_t u64;
    uint32_t u32;
    int32_t i32;
    float f32;
    double f64;
    void *ptr;
} Word;

/* An instruction that was given a number: what a fault names. The high bits of SITE numbers are
 * free. */
typedef struct Site {
    uint32_t bytes, align;          /* of an access; 0 for other operations */
    uint8_t access;                 /* Access */
    uint8_t space;                  /* address space of the pointer */
    uint32_t function, instruction; /* where in the module it stands */
} Site;

typedef enum Access { ACCESS_LOAD, ACCESS_STORE, ACCESS_ATOMIC } Access;

enum { SPACE_GENERIC = 0, SPACE_GLOBAL = 1, SPACE_SHARED = 3, SPACE_CONST = 4, SPACE_LOCAL = 5 };

typedef enum ThreadState { READY, AT_BARRIER, AT_WARP, AT_MBARRIER, AT_GROUP, EXITED } ThreadState;

typedef struct Copies Copies; /* asynchronous copies of a thread: copy.c */
typedef struct Warp Warp;

typedef struct Thread {
    uint32_t id, lane; /* within the block, within the warp */
    uint32_t tid[3];
    Warp *warp;
    ThreadState state;
    uint32_t site;             /* where it waits */
    int barrier;               /* which named barrier it waits at */
    uint32_t mbarrier, parity; /* which mbarrier (an offset in shared memory), and which phase */
    uint32_t fences;           /* of its writes, for matrix instructions: how many */
    Copies *copies;
} Thread;

/* What lanes do together: runs once, by the last to arrive, for the lanes of `mask`; slot[lane] is
 * what that lane brought. */
typedef struct WarpOp {
    const char *name;
    bool aligned; /* every lane of the warp, at one instruction */
    void (*run)(Warp *w, uint32_t mask, void *const *slot);
} WarpOp;

struct Warp {
    uint32_t first;          /* its first thread */
    uint32_t exists, alive;  /* lanes */
    uint32_t ready;          /* lanes that can go on */
    uint32_t waiting;        /* lanes in a WarpOp */
    const WarpOp *op[LANES]; /* which, */
    uint32_t mask[LANES];    /* with whom, */
    void *slot[LANES];       /* and with what */
};

typedef struct Barrier {
    uint32_t arrived, expected; /* threads; expected 0: all of the block */
    uint32_t site;              /* of the first that arrived */
} Barrier;

typedef struct Block {
    uint32_t ctaid[3], nctaid[3], ntid[3];
    uint32_t threads, warps, alive;
    Thread thread[MAX_THREADS];
    Warp warp[MAX_WARPS];
    Barrier barrier[BARRIERS];
    Thread *now;     /* who does what is being done, also when a copy lands */
    Thread *running; /* whose fiber runs, or NULL */
    bool abandoned;  /* after a deadlock */
    SimtModule *module;
    const SimtKernel *kernel;
} Block;

extern Block block;
extern SimtReport report;

/* --- launch.c: gives the processor away until the thread's state is READY again. */
void thread_yield(void);
void thread_ready(Thread *t);

/* --- sync.c */
void barrier_reset(void);
/* Waits at barrier `id` for `count` threads (0: all of the block). */
void barrier_sync(uint32_t site, uint32_t id, uint32_t count);
/* Lets go of threads that wait for others that have exited; true if there were any. */
bool barrier_release_stuck(void);
void warp_meet(uint32_t site, uint32_t mask, const WarpOp *op, void *slot);
/* A lane has exited: lanes that waited for it may go on. */
void warp_left(Warp *w);

/* --- report.c: `other` is the instruction the fault is in conflict with, or NO_SITE. */
#define NO_SITE UINT32_MAX
void fault(SimtFault kind, uint32_t site, uint32_t other, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void report_flush(void);

/* --- module.c */
unsigned module_flags(const SimtModule *m);
const Site *module_site(const SimtModule *m, uint32_t site);
/* The text of an instruction. */
void module_site_text(SimtModule *m, uint32_t site, char *out, size_t len);

#endif
