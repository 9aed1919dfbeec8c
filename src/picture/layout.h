/* Measures that layout and drawing share, in pixels. */
#ifndef CNNC_PICTURE_LAYOUT_H
#define CNNC_PICTURE_LAYOUT_H
enum {
    HEAD_SIZE = 11, /* faces: of a layer's operator, its channels, the small operators */
    SUB_SIZE = 10,
    SMALL_SIZE = 9,
    TITLE_SIZE = 13, /* of a lane */
    FACTS_SIZE = 11,
    UNIT_SIZE = 10,
    BAR = 16,        /* the coloured bar with the letter */
    COLUMN_GAP = 22, /* between columns of a unit */
    ROW_GAP = 8,
    UNIT_PAD = 8,
    UNIT_TITLE = 18,
    UNIT_GAP = 22,
    LANE_PAD = 12,
    LANE_TITLE = 28,
    LANE_GAP = 24,
    ROW_SKIP = 14, /* between rows of lanes */
    UNIT_SKIP = 22 /* between rows of units in a lane */
};
#endif
