"""What goes in, the same each time: photographs, a table and a list of recipients, made from a seed.

inputs.py FOLDER PHOTOGRAPHS ROWS MAILS
"""

import json
import os
import sys

import numpy
from PIL import Image

WIDTH, HEIGHT = 4000, 3000
DIFFERENT = 24
OCTAVES = 10
CITIES = ["Lima", "Oslo", "Paris", "Rome", "Tokyo", "Vienna", "Quito", "Accra"]


def main():
    folder, photographs, rows, mails = sys.argv[1], *map(int, sys.argv[2:5])
    os.makedirs(f"{folder}/photographs")
    for number in range(min(photographs, DIFFERENT)):
        photograph(number).save(name(folder, number), quality=90)
    for number in range(DIFFERENT, photographs):
        os.link(name(folder, number % DIFFERENT), name(folder, number))
    table(f"{folder}/table.csv", rows)
    people = [{"email": f"p{n}@example.org", "name": f"Person {n}", "city": CITIES[n % 8]} for n in range(mails)]
    with open(f"{folder}/people.json", "w") as file:
        json.dump(people, file)


def name(folder, number):
    return f"{folder}/photographs/photograph-{number:03}.jpg"


def photograph(number):
    """Light that falls off, shapes at every scale as nature has them, some hard edges, and a sensor's noise."""
    random = numpy.random.default_rng(number)
    pixels = numpy.empty((HEIGHT, WIDTH, 3), numpy.float32)
    across, down = numpy.linspace(-1, 1, WIDTH, dtype=numpy.float32), numpy.linspace(-1, 1, HEIGHT, dtype=numpy.float32)
    pixels[:] = (130 + 50 * across[None, :, None] * random.uniform(-1, 1)) - 40 * down[:, None, None] ** 2
    for octave in range(OCTAVES):
        cells = 3 * 2**octave
        grid = random.normal(0, 1, (max(cells * 3 // 4, 2), cells)).astype(numpy.float32)
        grown = numpy.asarray(Image.fromarray(grid).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
        tint = random.uniform(0.6, 1, 3) if octave < 6 else numpy.ones(3)
        pixels += grown[:, :, None] * (30 / 1.6**octave * tint).astype(numpy.float32)
    for _ in range(12):
        x, y = random.integers(0, WIDTH), random.integers(0, HEIGHT)
        pixels[y : y + random.integers(50, 900), x : x + random.integers(50, 900)] *= random.uniform(0.5, 1.3)
    pixels += random.normal(0, 5, pixels.shape[:2]).astype(numpy.float32)[:, :, None]
    return Image.fromarray(pixels.clip(0, 255).astype(numpy.uint8))


def table(path, rows):
    random = numpy.random.default_rng(0)
    with open(path, "w") as file:
        file.write("id,city,amount,quantity,day,paid\n")
        for start in range(0, rows, 100_000):
            count = min(100_000, rows - start)
            columns = [
                range(start, start + count),
                (CITIES[n] for n in random.integers(0, 8, count)),
                (f"{n:.2f}" for n in random.lognormal(3, 1, count)),
                random.integers(1, 500, count),
                (f"2026-{m:02}-{d:02}" for m, d in random.integers([1, 1], [13, 29], (count, 2))),
                ("true" if n else "" for n in random.integers(0, 2, count)),
            ]
            file.writelines(",".join(map(str, row)) + "\n" for row in zip(*columns))


if __name__ == "__main__":
    main()
