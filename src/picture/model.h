/* What a picture shows of a network: lanes (stages, heads) of units (block instances; equal ones in
 * a row are one unit with a count) of items joined by edges. Coordinates are pixels. */
#ifndef CNNC_PICTURE_MODEL_H
#define CNNC_PICTURE_MODEL_H
#include "picture/picture.h"

typedef enum ItemKind {
    ITEM_IN,    /* where the unit's input enters: no size */
    ITEM_FROM,  /* another tensor from outside, by the name of what made it */
    ITEM_LAYER, /* a layer: counted ones and global poolings */
    ITEM_SMALL, /* operators that belong to no layer */
    ITEM_MERGE, /* add, mul, concat */
    ITEM_OUT,   /* where its result leaves: no size */
    ITEM_BEND,  /* a place that a long edge passes through */
    ITEM_GONE   /* folded into another */
} ItemKind;

typedef struct Item {
    ItemKind kind;
    uint32_t node; /* position among the unit's nodes, of LAYER, SMALL and MERGE */
    NodeId source; /* ITEM_FROM: what is taken */
    const char *head, *sub;
    const char *before, *after; /* small operators folded into it, "bn relu" or NULL */
    Verdict verdict;
    uint32_t column;
    int x, y, w, h; /* y is the centre; relative to the unit */
} Item;

typedef struct Edge {
    uint32_t from, to;
} Edge;

typedef struct Unit {
    uint32_t inst;
    const char *title;   /* "mbconv s3.0", "mbconv s3.0 to s3.4", NULL: a single layer, no frame */
    const NodeId *nodes; /* those of the first instance, then of the next, ... */
    uint32_t node_count, repeat;
    NodeId out;     /* its result, of the first instance */
    uint32_t *item; /* by position among the nodes: the item that shows it */
    VEC(Item) items;
    VEC(Edge) edges;
    uint32_t columns;
    int port_in, port_out; /* y where the main path enters and leaves */
    int x, y, w, h;        /* relative to the lane */
    bool first_of_row;
    bool bare; /* one box, drawn without a frame and lines up to it */
} Unit;

typedef struct Lane {
    uint32_t inst; /* 0: the inputs */
    const char *title, *facts;
    bool follows; /* starts from the result of the lane before it */
    VEC(Unit) units;
    int x, y, w, h; /* relative to the net's column */
} Lane;

typedef struct Model {
    const PictureNet *net;
    Arena *arena;
    bool *changed;  /* by node, see twin_changes; NULL: there is no other net */
    uint32_t *uses; /* by node: how many live operators take it */
    VEC(Lane) lanes;
    int w, h;
} Model;

/* What is drawn, without coordinates; layers that `other` (or NULL) does not have so are marked. */
void model_build(Arena *a, const PictureNet *net, const PictureNet *other, Model *m);
/* By node: a layer that the other net lacks, or has with another operator or other attributes. */
bool *twin_changes(Arena *a, const PictureNet *net, const PictureNet *other);
/* Items and edges of a unit whose nodes are known. */
void unit_build(Model *m, Unit *u);

/* What an operator is drawn as. */
ItemKind unit_item_kind(const Node *n);

static inline NodeId unit_node(const Unit *u, const Item *it, uint32_t instance)
{
    return u->nodes[instance * u->node_count + it->node];
}

/* Texts (label.c). */
const char *label_head(const Model *m, NodeId n);
const char *label_sub(const Model *m, NodeId n);
const char *label_shape(Arena *a, Shape s);
const char *label_stride(Arena *a, Size2 s);
/* Input, n, verdict, parameters and MACs of a net, in one line. */
const char *label_facts(Arena *a, const PictureNet *net);
/* Everything known about a layer, of all instances, "key: value" a line; the first line its name.
 */
const char *label_details(const Model *m, const Unit *u, const Item *it);

/* Places items inside their unit; once. */
void layout_unit(Arena *a, Unit *u);
/* Places units inside lanes, and lanes inside a column of about this width, or one that is well
 * filled (0), but not below `least`. */
void layout_pack(Model *m, int width, int least);
#endif
