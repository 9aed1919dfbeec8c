#include "picture/picture.h"
void picture_dot(const PictureNet *nets, int count, Buf *out)
{
    (void)nets;
    (void)count;
    (void)out;
}
