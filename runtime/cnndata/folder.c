/* A folder with one subfolder per class, and JPEG or PNG files in them; classes in the order of
 * their names (bytes), as torchvision's ImageFolder has them. */
#include "set.h"
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct FolderFile {
    size_t name; /* in texts */
    int32_t label;
} FolderFile;

typedef struct Folder {
    char *root;
    CnndataTexts texts; /* names of files */
    FolderFile *files;
    int64_t capacity;
} Folder;

typedef struct Names {
    char **at;
    int64_t count, capacity;
} Names;

static void names_free(Names *n)
{
    for (int64_t i = 0; i < n->count; i++)
        free(n->at[i]);
    free(n->at);
}

static bool is_picture(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot != NULL && (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ||
                           strcasecmp(dot, ".png") == 0);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The subfolders, or the pictures, of a folder, sorted; hidden ones are not looked at. */
static int list(const char *path, bool folders, Names *out, CnndataError e)
{
    int status = CNNDATA_OK;
    DIR *dir = opendir(path);
    if (dir == NULL)
        return cnndata_fail_errno(e, path);
    for (struct dirent *d; status == CNNDATA_OK && (d = readdir(dir)) != NULL;) {
        if (d->d_name[0] == '.' || (!folders && !is_picture(d->d_name)))
            continue;
        char *full = cnndata_text("%s/%s", path, d->d_name);
        bool wanted = full == NULL || !folders || d->d_type == DT_DIR ||
                      (d->d_type != DT_REG && cnndata_is_folder(full));
        free(full);
        if (!wanted)
            continue;
        char **more = cnndata_grow(out->at, out->count, &out->capacity, sizeof *more);
        out->at = more == NULL ? out->at : more;
        if (full == NULL || more == NULL || (out->at[out->count] = strdup(d->d_name)) == NULL)
            status = cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
        else
            out->count++;
    }
    closedir(dir);
    if (out->count > 0)
        qsort(out->at, (size_t)out->count, sizeof *out->at, by_text);
    return status;
}

static int add_class(CnndataSet *set, const char *class, int32_t label, CnndataError e)
{
    Folder *x = set->own;
    Names pictures = {0};
    char *path = cnndata_text("%s/%s", x->root, class);
    if (path == NULL)
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", x->root);
    int status = list(path, false, &pictures, e);
    if (status == CNNDATA_OK && pictures.count == 0)
        status = cnndata_fail(
            e, CNNDATA_DAMAGED,
            "%s: no .jpg, .jpeg or .png file; remove the folder if it is no class", path);
    for (int64_t i = 0; status == CNNDATA_OK && i < pictures.count; i++) {
        FolderFile *more = cnndata_grow(x->files, set->count, &x->capacity, sizeof *more);
        x->files = more == NULL ? x->files : more;
        if (more == NULL ||
            !cnndata_texts_add(&x->texts, pictures.at[i], &x->files[set->count].name))
            status = cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
        else
            x->files[set->count++].label = label;
    }
    names_free(&pictures);
    free(path);
    return status;
}

/* Where the pictures and where the classes are: the classes of both splits are those of `train`. */
static int find_roots(Folder *x, const char *path, CnndataSplit split, char **classes,
                      CnndataError e)
{
    char *train = cnndata_text("%s/train", path), *val = cnndata_text("%s/val", path);
    char *test = cnndata_text("%s/test", path), **chosen = NULL;
    int status = CNNDATA_OK;
    if (train == NULL || val == NULL || test == NULL) {
        status = cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
    } else if (!cnndata_is_folder(train)) {
        x->root = strdup(path);
    } else {
        chosen = split == CNNDATA_TRAIN    ? &train
                 : cnndata_is_folder(val)  ? &val
                 : cnndata_is_folder(test) ? &test
                                           : NULL;
        if (chosen == NULL)
            status = cnndata_fail(e, CNNDATA_NO_FILE,
                                  "%s: has a folder train and none named val or test; add one, or "
                                  "give the folder of the pictures itself",
                                  path);
        else
            x->root = strdup(*chosen);
        *classes = strdup(train);
    }
    if (status == CNNDATA_OK && *classes == NULL)
        *classes = x->root == NULL ? NULL : strdup(x->root);
    if (status == CNNDATA_OK && (x->root == NULL || *classes == NULL))
        status = cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
    free(train);
    free(val);
    free(test);
    return status;
}

static int add_classes(CnndataSet *set, const Names *all, const Names *here, CnndataError e)
{
    const Folder *x = set->own;
    int status = CNNDATA_OK;
    if (all->count == 0)
        return cnndata_fail(e, CNNDATA_DAMAGED,
                            "%s: has no subfolders; a data set has one for each class", x->root);
    if (all->count > CNNDATA_CLASSES_MAX)
        return cnndata_fail(e, CNNDATA_DAMAGED, "%s: has over %d subfolders", x->root,
                            (int)CNNDATA_CLASSES_MAX);
    for (int64_t k = 0; status == CNNDATA_OK && k < here->count; k++) {
        char **found = bsearch(&here->at[k], all->at, (size_t)all->count, sizeof *all->at, by_text);
        status = found == NULL
                     ? cnndata_fail(e, CNNDATA_DAMAGED,
                                    "%s/%s: not a class of the training split, which has no folder "
                                    "of this name",
                                    x->root, here->at[k])
                     : add_class(set, here->at[k], (int32_t)(found - all->at), e);
    }
    set->classes = all->count;
    if (status == CNNDATA_OK &&
        !cnndata_name_classes(set, (const char *const *)all->at, all->count))
        status = cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", x->root);
    return status;
}

static int folder_open(CnndataSet *set, const char *path, CnndataSplit split, CnndataError e)
{
    Folder *x = set->own = calloc(1, sizeof *x);
    Names all = {0}, here = {0};
    char *classes = NULL;
    if (x == NULL)
        return cnndata_fail(e, CNNDATA_NO_MEMORY, "%s: out of memory", path);
    int status = find_roots(x, path, split, &classes, e);
    if (status == CNNDATA_OK && classes != NULL)
        status = list(classes, true, &all, e);
    if (status == CNNDATA_OK && x->root != NULL)
        status = list(x->root, true, &here, e);
    if (status == CNNDATA_OK)
        status = add_classes(set, &all, &here, e);
    names_free(&all);
    names_free(&here);
    free(classes);
    return status;
}

static void folder_name_of(const CnndataSet *set, int64_t i, char *out, size_t len)
{
    const Folder *x = set->own;
    snprintf(out, len, "%s/%s/%s", x->root, set->class_names[x->files[i].label],
             x->texts.at + x->files[i].name);
}

static int folder_sample(const CnndataSet *set, int64_t i, CnndataScratch *bytes, CnndataImage *out,
                         int32_t *label, CnndataError e)
{
    char path[4096], why[CNNDATA_ERROR_MAX];
    size_t len = 0;
    folder_name_of(set, i, path, sizeof path);
    int status = cnndata_read_file(path, CNNDATA_FILE_MAX, bytes, &len, e);
    if (status != CNNDATA_OK)
        return status;
    *label = ((const Folder *)set->own)->files[i].label;
    status = cnndata_decode(out, bytes->at, len, (CnndataError){why, sizeof why});
    return status == CNNDATA_OK ? status : cnndata_fail(e, status, "%s: %s", path, why);
}

static void folder_close(CnndataSet *set)
{
    Folder *x = set->own;
    free(x->root);
    free(x->texts.at);
    free(x->files);
    free(x);
}

const CnndataKind cnndata_folder = {"folder", folder_open, folder_sample, folder_name_of,
                                    folder_close};
