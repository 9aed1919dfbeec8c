/* Curves over epochs as inline SVG, coloured by the style sheet of the report. Private to cnntrain.
 */
#ifndef CNNTRAIN_CHART_H
#define CNNTRAIN_CHART_H
#include "cnntrain/text.h"

enum { CNNTRAIN_CURVES = 3 };

/* y may be NaN or infinite: the line has a gap there. */
typedef struct CnntrainCurve {
    const char *name;
    int colour; /* 0 to 2 */
    const double *x, *y;
    size_t n;
} CnntrainCurve;

typedef struct CnntrainChart {
    const char *title;
    CnntrainCurve curve[CNNTRAIN_CURVES];
    int count;
    int width, height; /* of the whole, in pixels */
    double x_end;      /* right edge of the x axis, which begins at 0 */
    const char *x_name;
    bool percent;     /* values from 0 to 1 are shown as percentages */
    bool may_be_log;  /* a logarithmic axis when values span more than two decades */
    double mark_x;    /* a line across; NaN: none */
    double mark_y;    /* and a ring on the curve */
    const char *mark; /* what it says */
} CnntrainChart;

/* Appends <svg>...</svg>. A chart without a finite value says so. */
void cnntrain_chart_draw(CnntrainText *out, const CnntrainChart *c);
/* A number for people: few digits, no exponent where it can be helped. Returns out. */
char *cnntrain_chart_number(char out[32], double v, bool percent);
#endif
