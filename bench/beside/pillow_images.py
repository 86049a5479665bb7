"""The photographs by Pillow: a process for each core. pillow_images.py INPUTS OUTPUT"""

import glob
import json
import os
import sys
from multiprocessing import Pool

import PIL
from PIL import Image, ImageOps


def resize(path):
    with Image.open(path) as image:
        # It decodes at a half, a quarter or an eighth where that is at least twice as large as what is wanted.
        image.thumbnail((1600, 1600), Image.Resampling.LANCZOS)
        ImageOps.exif_transpose(image).save(f"{sys.argv[2]}/{os.path.basename(path)}", quality=85)


if __name__ == "__main__":
    with Pool(os.cpu_count()) as pool:
        pool.map(resize, sorted(glob.glob(f"{sys.argv[1]}/photographs/*")), chunksize=1)
    print(json.dumps({"package": f"Pillow {PIL.__version__}"}))
