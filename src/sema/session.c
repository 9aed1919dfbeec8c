#include "sema/session.h"

void session_init(Session *s, const char *std_path)
{
    arena_init(&s->arena, &s->oom, 0);
    s->intern = intern_new(&s->arena);
    s->sources = (SourceMap){.arena = &s->arena};
    diags_init(&s->diags, &s->arena, &s->sources);
    s->modules.at = NULL;
    s->modules.len = s->modules.cap = 0;
    s->tree = NULL;
    s->overlays = NULL;
    s->overlay_count = 0;
    s->std_path = std_path != NULL && *std_path != '\0' ? std_path : NULL;
}

void session_free(Session *s)
{
    arena_free(&s->arena);
}
