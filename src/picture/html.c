#include "picture/picture.h"
void picture_html(const PictureNet *nets, int count, const PictureOptions *o, Buf *out)
{
    picture_svg(nets, count, o, out);
}
