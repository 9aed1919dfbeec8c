/* Optimizers as kernels for GPUs, on the emulator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define OPTIM_MOST 9004 /* whole vectors; the other parameter has a part of one */
#include "cuda_run.h"
#include "optim_kernels.h"

static SimtModule *code;

static void load_passes(Rig *rig)
{
    char err[1024] = "";
    code = cuda_load(api, &rig->s.plan, err, sizeof err);
    if (!code)
        fail_msg("%s", err);
    simt_buffer(buffers, sizeof buffers);
    simt_buffer(partial, sizeof partial);
    simt_buffer(&clip_factor, sizeof clip_factor);
}

static void launch_pass(Rig *rig, uint32_t at, float **args, const CnnrtRun *run)
{
    char err[1024];
    CnnrtRun *own = (CnnrtRun *)(uintptr_t)run;
    simt_buffer(own, sizeof *own);
    if (!cuda_launch(code, &rig->s.plan, at, args, 1, run, err, sizeof err))
        fail_msg("%s", err);
    simt_buffer_gone(own);
    assert_true(cuda_clean(rig->s.plan.kernels.at[at].key));
}

static void test_optimizers(void **state)
{
    (void)state;
    for (volatile size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        static Rig rig;
        Target t;
        char err[1024];
        spec = specs[i];
        spec.average = 0.9; /* the most operands that there are */
        assert_null(optim_check(&spec));
        assert_true(api->target("sm_70", &t, err, sizeof err));
        if (setjmp(rig.s.oom.env))
            fail_msg("out of memory");
        suite_open(&rig.s, &t);
        on_rig(&rig, "sm_70");
        simt_unload(code);
        simt_buffers_clear();
        suite_close(&rig.s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_optimizers)};
    api = suite_api();
    if (api == NULL)
        return 1;
    return cmocka_run_group_tests_name("cuda optimizers", tests, NULL, NULL);
}
