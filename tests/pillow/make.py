"""Writes what Pillow makes of two pictures: the tests of image_processing compare theirs with it.

    pip install pillow && python3 make.py
"""
import random
from PIL import Image, ImageOps

random.seed(7)
WIDTH, HEIGHT = 61, 44
LANCZOS = Image.Resampling.LANCZOS


def shade(x, y):
    return (x * 4 % 256, (y * 5 + x) % 256, (x * y) % 256)


plain = Image.new("RGB", (WIDTH, HEIGHT))
clear = Image.new("RGBA", (WIDTH, HEIGHT))
for y in range(HEIGHT):
    for x in range(WIDTH):
        noise = random.randrange(40)
        # Far from black and white: what a pass of resizing overshoots is not cut off before the next one.
        red, green, blue = (60 + (part + noise) * 2 // 5 for part in shade(x, y))
        plain.putpixel((x, y), (red, green, blue))
        clear.putpixel((x, y), (red, green, blue, 0 if x < 20 else 255 - y * 3))

plain.save("plain.png")
clear.save("clear.png")
plain.resize((24, 17), LANCZOS).save("plain-fit.png")
clear.resize((24, 17), LANCZOS).save("clear-fit.png")
plain.resize((90, 20), LANCZOS).save("plain-exact.png")
ImageOps.fit(plain, (20, 20), LANCZOS, centering=(0.0, 1.0)).save("plain-fill-left.png")
ImageOps.fit(plain, (20, 20), LANCZOS, centering=(0.5, 0.5)).save("plain-fill.png")
plain.crop((WIDTH - 30, 0, WIDTH, 10)).save("plain-crop.png")
plain.convert("L").save("plain-grey.png")
plain.transpose(Image.Transpose.ROTATE_270).resize((17, 24), LANCZOS).save("plain-right.png")
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "a maker"
    plain.save(f"noted-{orientation}.png", exif=exif)
    noted = Image.open(f"noted-{orientation}.png")
    fitted = ImageOps.fit(ImageOps.exif_transpose(noted), (30, 20), LANCZOS, centering=(1.0, 0.0))
    fitted.info.pop("exif", None)
    fitted.save(f"upright-{orientation}.png")

# Kinds of pixels that are not red, green and blue in eight bits each.
smooth = Image.new("RGB", (64, 48))
for y in range(48):
    for x in range(64):
        smooth.putpixel((x, y), (x * 4, y * 5, 255 - x * 3))
smooth.convert("CMYK").save("cmyk.jpg", quality=100, subsampling=0)
Image.open("cmyk.jpg").convert("RGB").save("cmyk-rgb.png")
palette = clear.quantize(32)
palette.save("palette.png")
Image.open("palette.png").convert("RGBA").save("palette-rgba.png")
plain.convert("1").save("one-bit.png")
plain.convert("1").convert("L").save("one-bit-grey.png")
sixteen = Image.new("I;16", (WIDTH, HEIGHT))
for y in range(HEIGHT):
    for x in range(WIDTH):
        sixteen.putpixel((x, y), (x * 997 + y * 131) % 65536)
sixteen.save("sixteen.png")
