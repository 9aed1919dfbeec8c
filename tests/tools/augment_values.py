"""Writes tests/unit/augment_values.h: what Pillow and timm make of a picture, as FNV-1a sums.

usage: augment_values.py AUTO_AUGMENT.PY > tests/unit/augment_values.h
AUTO_AUGMENT.PY is timm/data/auto_augment.py; needs Pillow and NumPy.
"""
import importlib.util
import sys

import numpy
import PIL
from PIL import Image, ImageEnhance, ImageOps

FILL = (124, 116, 104)
SIZES = [(13, 9), (32, 32), (57, 41)]
ENHANCE = [0.1, 0.55, 1.0, 1.27, 1.9]


def picture(w, h, flat):
    y, x, c = numpy.meshgrid(range(h), range(w), range(3), indexing="ij")
    v = (x * 37 + y * 91 + c * 53 + x * y * 7) & 255
    return Image.fromarray((v // 2 + 40 + c * 9 if flat else v).astype(numpy.uint8))


def fnv(image):
    s = 2166136261
    for b in image.tobytes():
        s = ((s ^ b) * 16777619) & 0xFFFFFFFF
    return s


def load(path):
    spec = importlib.util.spec_from_file_location("auto_augment", path)
    m = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(m)
    # Pillow refuses to keep no bits at all; timm says of such a level that the image becomes black
    m.NAME_TO_OP["Posterize"] = lambda im, bits, **_: (
        m.posterize(im, bits) if bits else Image.new(im.mode, im.size))
    return m


def cases(m):
    """(C expression on `im`, function of a Pillow image)"""
    keep = dict(resample=Image.Resampling.BILINEAR)
    for f in ENHANCE:
        yield f"cnndata_brightness(im, {f})", lambda i, f=f: ImageEnhance.Brightness(i).enhance(f)
        yield f"cnndata_contrast(im, {f})", lambda i, f=f: ImageEnhance.Contrast(i).enhance(f)
        yield f"cnndata_saturation(im, {f})", lambda i, f=f: ImageEnhance.Color(i).enhance(f)
        yield (f"cnndata_sharpness(im, {f}, other)",
               lambda i, f=f: ImageEnhance.Sharpness(i).enhance(f))
    yield "cnndata_autocontrast(im)", ImageOps.autocontrast
    yield "cnndata_equalize(im)", ImageOps.equalize
    yield "cnndata_invert(im)", ImageOps.invert
    for bits in (1, 4, 7, 8):
        yield f"cnndata_posterize(im, {bits})", lambda i, b=bits: ImageOps.posterize(i, b)
    for t in (0, 77, 128, 256):
        yield f"cnndata_solarize(im, {t})", lambda i, t=t: ImageOps.solarize(i, t)
    for a in (0, 33, 110):
        yield f"cnndata_solarize_add(im, {a})", lambda i, a=a: m.solarize_add(i, a)
    for deg in (-30.0, -7.5, 0.0, 12.0, 29.9):
        yield (f"cnndata_rotate(im, other, {deg}, fill)",
               lambda i, d=deg: m.rotate(i, d, fillcolor=fill_of(i), **keep))
    for s in (-0.3, 0.17):
        yield (f"shear(im, other, 1, {s})",
               lambda i, s=s: m.shear_x(i, s, fillcolor=fill_of(i), **keep))
        yield (f"shear(im, other, 3, {s})",
               lambda i, s=s: m.shear_y(i, s, fillcolor=fill_of(i), **keep))
    yield "cnndata_hflip(im)", ImageOps.mirror


def fill_of(image):
    return FILL if image.mode == "RGB" else FILL[0]


def outcomes(m, name, level, image):
    """All results of one operation: both signs, where it has one."""
    found = []
    for sign in (1, -1):
        m._randomly_negate = lambda v, sign=sign: sign * v
        level_fn = m.LEVEL_TO_ARG[name]
        args = level_fn(level, {}) if level_fn else ()
        args = args if isinstance(args, tuple) else (args,)
        found.append(m.NAME_TO_OP[name](image, *args, fillcolor=FILL,
                                        resample=Image.Resampling.BILINEAR))
    return found if fnv(found[0]) != fnv(found[1]) else found[:1]


def rand_sums(m, level, image):
    return sorted({fnv(o) for name in m._RAND_TRANSFORMS for o in outcomes(m, name, level, image)})


def policy_sums(m, name, image):
    found = set()
    for first, second in m.auto_augment_policy(name):
        starts = outcomes(m, first.name, first.magnitude, image) if first.prob > 0 else []
        starts += [image] if first.prob < 1 else []
        for start in starts:
            if second.prob > 0:
                found |= {fnv(o) for o in outcomes(m, second.name, second.magnitude, start)}
            if second.prob < 1:
                found.add(fnv(start))
    return sorted(found)


def table(name, sums):
    print(f"static const uint32_t {name}[] = {{")
    for i in range(0, len(sums), 8):
        print("    " + " ".join(f"{s:#010x}," for s in sums[i:i + 8]))
    print("};")


def main():
    m = load(sys.argv[1])
    print("/* Made by tests/tools/augment_values.py with Pillow " + PIL.__version__ + ": sums of what it"
          "\n * and timm make of pictures. */")
    print("/* clang-format off */")
    for w, h in SIZES:
        for flat in (0, 1):
            for mode in ("RGB", "L"):
                image = picture(w, h, flat).convert(mode)
                print(f"CASE({w}, {h}, {flat}, {1 if mode == 'L' else 3})")
                for text, function in cases(m):
                    print(f"SUM({text}, {fnv(function(image)):#010x})")
    image = picture(32, 32, 1)
    print("#ifdef SETS")
    table("rand_9", rand_sums(m, 9, image))
    table("rand_3", rand_sums(m, 3, image))
    table("auto_v0", policy_sums(m, "v0", image))
    table("auto_original", policy_sums(m, "original", image))
    print("#endif")
    print("#undef CASE\n#undef SUM\n#undef SETS")
    print("/* clang-format on */")


main()
