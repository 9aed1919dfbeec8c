#include "context.h"
#include <stdarg.h>
#include <stdio.h>

static _Thread_local char detail[512];

void cnnrt_set_detail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
}

const char *cnnrt_detail(void)
{
    return detail;
}
