#include "codegen/cpu/phase.h"

bool phase_tap(const Kernel *k, int64_t phase, int64_t kw, int64_t *shift)
{
    int64_t d = phase + k->pl - kw * k->dw;
    if (d % k->sw)
        return false;
    *shift = d / k->sw;
    return true;
}

int64_t phase_columns(const Kernel *k, int64_t phase)
{
    return (k->out.w - phase + k->sw - 1) / k->sw;
}

static bool is_edge(const Kernel *k, int64_t phase, int64_t j, int64_t width)
{
    int64_t shift;
    for (int64_t kw = 0; kw < k->kw; kw++)
        if (phase_tap(k, phase, kw, &shift) && (j + shift < 0 || j + width - 1 + shift >= k->in.w))
            return true;
    return false;
}

Strip phase_strip(const Kernel *k, int64_t phase, int64_t j, int px)
{
    int64_t n = phase_columns(k, phase);
    Strip s = {.phase = phase, .j = j, .count = 1};
    s.width = (int)(n - j < px ? n - j : px);
    s.edge = is_edge(k, phase, j, s.width);
    while (!s.edge && j + (s.count + 1) * s.width <= n &&
           !is_edge(k, phase, j + s.count * s.width, s.width))
        s.count++;
    return s;
}
