/* Turning object code into files users deploy: C header, manifest, pkg-config file, object, shared
 * object, program. */
#ifndef CNNC_ARTIFACT_H
#define CNNC_ARTIFACT_H
#include "driver/train_step.h"

/* What can be written, in the order of --emit's documentation. */
typedef enum EmitForm {
#define FORM(ID, NAME, SUFFIX, DOC) FORM_##ID,
#include "driver/form.def"
    FORM_COUNT
} EmitForm;
typedef struct FormInfo {
    const char *name, *suffix;
} FormInfo;
extern const FormInfo form_info[FORM_COUNT];
/* A set of forms has one bit for each. */
#define FORM_BIT(ID) (1u << FORM_##ID)

/* Above this many bytes weights are a file of their own unless --weights-mode says otherwise: the
 * linker holds what is embedded in memory, and code reaches 2 GiB at most. */
#define ARTIFACT_EMBED_LIMIT ((size_t)768 << 20)

/* The forms that an artefact for several processors has once for each. */
#define FORMS_OF_VARIANT (FORM_BIT(PACKED) | FORM_BIT(IR) | FORM_BIT(ASM) | FORM_BIT(PTX))

/* The network compiled for one processor. */
typedef struct Variant {
    const char *asked; /* as the command line has it; NULL = native */
    Native native;
    EmitOptions emit;
    const char *paths[FORM_COUNT]; /* FORMS_OF_VARIANT; NULL when not written */
} Variant;

/* A model about to be written. Texts are in the net's arena. */
typedef struct Artifact {
    const Net *net;
    const char *prefix;    /* of exported names */
    const TrainStep *step; /* NULL: no training; else there is one variant */
    Variant variants[CODEGEN_VARIANTS];
    int count;                     /* of variants, best first */
    bool external;                 /* weights are a file of their own */
    const char *paths[FORM_COUNT]; /* the other forms; NULL when not written */
    const char *origin;            /* of the parameter values: "seed 1", "net.safetensors" */
} Artifact;

/* Reads a list of processors ("x86-64-v3,x86-64-v4", NULL = native) into the variants' `asked`. */
int variant_parse(Run *r, Artifact *x, const char *list);
/* Plans all of them, puts the best first, and names what each exports. Returns an exit code. */
int variant_plan(Run *r, Artifact *x);
void variant_close(Artifact *x);
/* The one that demands least; the only one there mostly is. */
const Variant *variant_least(const Artifact *x);

/* The part of a path after the last '/'. */
const char *artifact_file(const char *path);
/* A C identifier made of name: other characters become '_'. Arena text. */
const char *artifact_identifier(Arena *a, const char *name);
/* The header of a built model: sizes, names, normalisation constants and the entry points. */
void artifact_header(const Artifact *x, Buf *out);
/* The parts of both that tell of training; x->step is there. artifact_train.c */
void artifact_training_types(Buf *out);
void artifact_training_sizes(const Artifact *x, Buf *out);
void artifact_training_functions(const Artifact *x, Buf *out);
void artifact_training_manifest(const Artifact *x, Buf *out);
/* Bytes of a variant's weights, or of the parameters that a training begins with. */
size_t artifact_weight_bytes(const Artifact *x, const Variant *v);
/* Whether the best variant is kernels for a GPU. */
bool artifact_is_cuda(const Artifact *x);
/* The part of the manifest that says how a GPU's kernels are launched. manifest_launch.c */
void artifact_launches(const Artifact *x, Buf *out);
/* What a deployment has to know, as JSON (docs/artefacts.md). */
void artifact_manifest(const Artifact *x, Buf *out);
/* A .pc file for the shared object, or else the object, beside it. */
void artifact_pkg_config(const Artifact *x, Buf *out);

typedef enum LinkKind { LINK_PROGRAM, LINK_SHARED } LinkKind;
/* Links object files with the libcnnrt of their machine through cc, into a temporary file renamed
 * to `path`. */
int artifact_link(Run *r, const Artifact *x, LinkKind kind, const char *const *objects, int count,
                  const char *path);
/* Makes one relocatable object of several. */
int artifact_join(Run *r, const Artifact *x, const char *const *objects, int count,
                  const char *path);
#endif
