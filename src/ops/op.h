/* The operator table as data: names, attribute schemas, flags. See ops.def. */
#ifndef CNNC_OP_H
#define CNNC_OP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum Op {
    OP_NONE,
#define OP(ID, ...) OP_##ID,
#include "ops/ops.def"
    OP_COUNT
} Op;

enum {
    OPF_WEIGHTS = 1, /* has trained parameters or statistics */
    OPF_WINDOW = 2,  /* k, stride, dilation, pad */
    OPF_COUNTED = 4, /* counted by the receptive-field verdicts */
    OPF_NORM = 8,
    OPF_ELEM = 16, /* element by element: fusable as an expression */
    OPF_MERGE = 32,
    OPF_VIEW = 64,
    OPF_TRAIN_ONLY = 128, /* the identity in inference */
    OPF_INTERNAL = 256,   /* not written as a step */
    OPF_BACKWARD = 512,   /* belongs to the node its first attribute names */
    OPF_REDUCED = 1024,   /* one value for the batch, not one for each image */
};

typedef enum AttrType { ATTR_INT, ATTR_REAL, ATTR_BOOL, ATTR_SIZE, ATTR_PAD, ATTR_STR } AttrType;

typedef struct Size2 {
    int64_t h, w; /* rows by columns */
} Size2;

/* same: symmetric (d*(k-1))/2 as in PyTorch. same_upper: TensorFlow/ONNX SAME_UPPER (depends on the
 * map). valid: none. explicit: given per side. */
typedef enum PadKind { PAD_EXPLICIT, PAD_SAME_SYM, PAD_SAME_UP } PadKind;
typedef struct Pad {
    PadKind kind;
    int64_t top, bottom, left, right; /* PAD_EXPLICIT only */
} Pad;

typedef struct AttrVal {
    AttrType type;
    union {
        int64_t i; /* INT, BOOL */
        double r;
        Size2 size;
        Pad pad;
        const char *str;
    };
} AttrVal;

typedef struct AttrInfo {
    const char *name;
    AttrType type;
    bool required;
    AttrVal def;
} AttrInfo;

enum { OP_MAX_ATTRS = 8 };

typedef struct OpInfo {
    const char *name;
    int inputs; /* see ops.def */
    unsigned flags;
    const char *doc;
    const AttrInfo *attrs;
    int attr_count;
} OpInfo;

extern const OpInfo op_info[OP_COUNT];

Op op_by_name(const char *name);            /* OP_NONE when unknown or internal */
Op op_by_any_name(const char *name);        /* internal ones included */
int op_attr_index(Op op, const char *attr); /* -1 when unknown */
/* Index of each attribute, fixed at compile time: AT_CONV_stride and so on. */
enum {
#define OP(ID, ...) AT_##ID##_BASE_, AT_##ID##_RESET_ = -1,
#define A(ID, NAME, TYPE, DEFAULT) AT_##ID##_##NAME,
#include "ops/ops.def"
    AT_END_
};
/* The attributes of every operator flagged OPF_BACKWARD, in front of its own. */
enum { AT_BACKWARD_of, AT_BACKWARD_c, AT_BACKWARD_h, AT_BACKWARD_w, AT_BACKWARD_flat };
AttrVal attr_int(int64_t v);
AttrVal attr_real(double v);
AttrVal attr_bool(bool v);
AttrVal attr_size(int64_t h, int64_t w);
AttrVal attr_pad(Pad p);
bool attr_equal(const AttrVal *a, const AttrVal *b);
#endif
