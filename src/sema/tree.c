/* What an import may name: files of the tree that is worked on. A network from elsewhere must not
 * have other files read, and shown in messages. */
#include "sema/sema.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* realpath in the session's memory; NULL when there is no such file. */
static const char *canonical(Session *s, const char *path)
{
    char *real = realpath(path, NULL);
    if (real == NULL && errno == ENOMEM)
        arena_give_up(&s->arena, 0);
    const char *copy = real != NULL ? arena_strdup(&s->arena, real) : NULL;
    free(real);
    return copy;
}

/* Canonical text of the folder `path` is in ("-" is in the working directory); as written where it
 * does not exist: texts stand for files there. */
static const char *folder_of(Session *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL   ? "."
                       : slash == path ? "/"
                                       : arena_strndup(&s->arena, path, (size_t)(slash - path));
    const char *real = canonical(s, name), *here = real == NULL ? canonical(s, ".") : NULL;
    return real != NULL || here == NULL ? real : without_dots(s, here, name);
}

void tree_root(Session *s, const char *path)
{
    const char *folder = folder_of(s, path), *here = canonical(s, ".");
    s->tree = folder != NULL && here != NULL && beneath(here, folder) ? here : folder;
}

bool tree_holds(Session *s, const Module *from, const char *importer, const char *path,
                const char *opened)
{
    const char *folder = folder_of(s, importer), *root = s->tree;
    if (from->std && s->std_path != NULL)
        root = folder_of(s, arena_printf(&s->arena, "%s/", s->std_path));
    if (folder == NULL || root == NULL)
        return false;
    if (!beneath(root, without_dots(s, folder, path)))
        return false;
    const char *real = canonical(s, opened);
    return real == NULL || beneath(root, real);
}
