/* What an import may name: files of the tree that is worked on. A network from elsewhere must not
 * have other files read, and shown in messages. */
#include "sema/sema.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Both are canonical: absolute, without links, dots and doubled or final slashes. */
static bool beneath(const char *folder, const char *path)
{
    size_t n = strlen(folder);
    return strcmp(folder, "/") == 0 ||
           (strncmp(path, folder, n) == 0 && (path[n] == '/' || path[n] == '\0'));
}

/* The words of a path without those that dots undo. Links are not looked at: nothing is. */
static const char *without_dots(Session *s, const char *folder, const char *path)
{
    const char *all = *path == '/' ? path : arena_printf(&s->arena, "%s/%s", folder, path);
    char *out = arena_alloc(&s->arena, strlen(all) + 2);
    size_t len = 0;
    for (const char *at = all; *at != '\0';) {
        size_t n = strcspn(at, "/");
        if (n == 2 && memcmp(at, "..", 2) == 0) {
            while (len > 0 && out[--len] != '/')
                ;
        } else if (n > 0 && !(n == 1 && *at == '.')) {
            out[len++] = '/';
            memcpy(out + len, at, n);
            len += n;
        }
        at += n + (at[n] == '/');
    }
    if (len == 0)
        out[len++] = '/';
    out[len] = '\0';
    return out;
}

/* Canonical text of the folder `path` is in ("-" is in the working directory). One that only
 * overlays are in has no links. */
static const char *folder_of(Session *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL   ? "."
                       : slash == path ? "/"
                                       : arena_strndup(&s->arena, path, (size_t)(slash - path));
    char *real = realpath(name, NULL), *here = real == NULL ? realpath(".", NULL) : NULL;
    const char *copy = real != NULL ? arena_strdup(&s->arena, real)
                                    : without_dots(s, here != NULL ? here : "/", name);
    free(real);
    free(here);
    return copy;
}

void tree_root(Session *s, const char *path)
{
    const char *folder = folder_of(s, path);
    char *here = realpath(".", NULL);
    s->tree = folder;
    if (here != NULL && beneath(here, folder))
        s->tree = arena_strdup(&s->arena, here);
    free(here);
}

bool tree_holds(Session *s, const Module *from, const char *importer, const char *path,
                const char *opened)
{
    const char *folder = folder_of(s, importer), *root = s->tree;
    if (from->std && s->std_path != NULL)
        root = folder_of(s, arena_printf(&s->arena, "%s/", s->std_path));
    if (root == NULL || !beneath(root, without_dots(s, folder, path)))
        return false;
    char *real = realpath(opened, NULL);
    bool inside = real == NULL || beneath(root, real);
    free(real);
    return inside;
}
