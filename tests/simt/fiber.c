#include "fiber.h"
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#elif defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

enum { STACK = 96 * 1024, FIBERS = 1024 };

static char *stacks; /* of FIBERS, each with a page below it that must not be touched */
static uint32_t reserved;
static uint32_t running;
static size_t guard;

static char *stack_of(uint32_t i)
{
    return stacks + (size_t)i * (STACK + guard) + guard;
}

bool fiber_reserve(uint32_t n)
{
    if (n > FIBERS)
        return false;
    if (!stacks) {
        guard = (size_t)sysconf(_SC_PAGESIZE);
        void *p = mmap(NULL, (size_t)FIBERS * (STACK + guard), PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
            return false;
        stacks = p;
    }
    for (; reserved < n; reserved++)
        if (mprotect(stack_of(reserved), STACK, PROT_READ | PROT_WRITE))
            return false;
    return true;
}

bool fiber_owns(uint32_t i, const void *p, size_t bytes)
{
    uintptr_t low = (uintptr_t)stack_of(i), at = (uintptr_t)p;
    return at >= low && bytes <= STACK && at - low <= STACK - bytes;
}

#if defined(__x86_64__)

/* swapcontext asks the kernel for the signal mask each time; this saves what the ABI says a call
 * preserves. */
void simt_fiber_switch(void **save, void *load);
__asm__(".text\n"
        ".p2align 4\n"
        ".globl simt_fiber_switch\n"
        ".hidden simt_fiber_switch\n"
        ".type simt_fiber_switch, @function\n"
        "simt_fiber_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size simt_fiber_switch, .-simt_fiber_switch\n");

static void *place[FIBERS], *back;

static void begin(uint32_t i, void (*entry)(void))
{
    /* six registers, the address to return to, and a stack that is aligned as after a call */
    void **top = (void **)(void *)(stack_of(i) + STACK);
    *--top = NULL;
    *--top = (void *)(uintptr_t)entry;
    for (int k = 0; k < 6; k++)
        *--top = NULL;
    place[i] = top;
}

static void enter(uint32_t i)
{
    simt_fiber_switch(&back, place[i]);
}

static void leave(uint32_t i)
{
    simt_fiber_switch(&place[i], back);
}

#else

static ucontext_t place[FIBERS], back;

static void begin(uint32_t i, void (*entry)(void))
{
    if (getcontext(&place[i]))
        abort();
    place[i].uc_stack.ss_sp = stack_of(i);
    place[i].uc_stack.ss_size = STACK;
    place[i].uc_link = &back;
    makecontext(&place[i], entry, 0);
}

static void enter(uint32_t i)
{
    swapcontext(&back, &place[i]);
}

static void leave(uint32_t i)
{
    swapcontext(&place[i], &back);
}

#endif

#if defined(__SANITIZE_ADDRESS__)

/* The sanitizer has to know which stack it looks at. */
static const void *main_stack;
static size_t main_bytes;

void fiber_start(uint32_t i, void (*entry)(void))
{
    begin(i, entry);
}

void fiber_resume(uint32_t i)
{
    void *fake;
    running = i;
    __sanitizer_start_switch_fiber(&fake, stack_of(i), STACK);
    enter(i);
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
}

void fiber_yield(void)
{
    void *fake;
    __sanitizer_start_switch_fiber(&fake, main_stack, main_bytes);
    leave(running);
    __sanitizer_finish_switch_fiber(fake, &main_stack, &main_bytes);
}

/* What the sanitizer keeps of the fiber's own stack is given back. */
void fiber_end(void)
{
    __sanitizer_start_switch_fiber(NULL, main_stack, main_bytes);
    leave(running);
    abort();
}

void fiber_entered(void)
{
    __sanitizer_finish_switch_fiber(NULL, &main_stack, &main_bytes);
}

#elif defined(__SANITIZE_THREAD__)

static void *shadow[FIBERS], *main_shadow;

void fiber_start(uint32_t i, void (*entry)(void))
{
    if (shadow[i])
        __tsan_destroy_fiber(shadow[i]);
    shadow[i] = __tsan_create_fiber(0);
    begin(i, entry);
}

void fiber_resume(uint32_t i)
{
    running = i;
    main_shadow = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(shadow[i], 0);
    enter(i);
}

void fiber_yield(void)
{
    __tsan_switch_to_fiber(main_shadow, 0);
    leave(running);
}

void fiber_end(void)
{
    fiber_yield();
    abort();
}

void fiber_entered(void)
{
}

#else

void fiber_start(uint32_t i, void (*entry)(void))
{
    begin(i, entry);
}

void fiber_resume(uint32_t i)
{
    running = i;
    enter(i);
}

void fiber_yield(void)
{
    leave(running);
}

void fiber_end(void)
{
    leave(running);
    abort();
}

void fiber_entered(void)
{
}

#endif
