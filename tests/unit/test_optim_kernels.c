/* Optimizers as machine code on every vector width this machine has. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define OPTIM_MOST 9001
#include "optim_kernels.h"

static void load_passes(Rig *rig)
{
    rig_load(rig);
}

static void launch_pass(Rig *rig, uint32_t at, float **args, const CnnrtRun *run)
{
    args[KERNEL_ARG_RUN] = (float *)(uintptr_t)run;
    units_in_order(rig->model->steps[at].kernel, args, rig->model->steps[at].units,
                   ONE_BY_ONE_BACKWARDS);
}

static void test_compiled(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++)
        for (int cpu = 0; cpu < CPUS; cpu++) {
            spec = specs[i];
            spec.average = 0.9; /* the most operands that there are */
            assert_null(optim_check(&spec));
            on_target(cpu, on_rig);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_compiled)};
    api = suite_api();
    return cmocka_run_group_tests_name("optim_kernels", tests, NULL, NULL);
}
