"""The files the jobs work on, the same in every run: pictures, orders, things to download."""

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from random import Random

from PIL import Image, ImageOps

from demo.orders import COLUMNS, Order

PICTURES = 24
ORDERS = 40_000
MALFORMED_EVERY = 6_000

COLOURS = ["#16324f", "#c1666b", "#48a9a6", "#e4dfda", "#d4b483", "#2e4057", "#8f2d56", "#f4a259"]
PRODUCTS = ["anchor", "barge", "capstan", "derrick", "fender", "gangway", "hawser", "winch"]


def paint_pictures(folder: Path) -> None:
    """Paint pictures of two megapixels: a sky, a sun and the noise of a cheap camera."""
    for number in range(PICTURES):
        size = (1250, 1600) if number % 3 == 2 else (1600, 1250)
        paint(number, size).save(folder / f"picture-{number:02}.jpg", quality=80)


def paint(number: int, size: tuple[int, int]) -> Image.Image:
    random = Random(number)
    dark, light = random.sample(COLOURS, 2)
    sky = ImageOps.colorize(Image.linear_gradient("L").resize(size), dark, light)
    grain = (size[0] // 5, size[1] // 5)
    noise = Image.frombytes("L", grain, random.randbytes(grain[0] * grain[1]))
    picture = Image.blend(sky, noise.resize(size, Image.Resampling.BILINEAR).convert("RGB"), 0.2)
    # The gradient ends in the corners; the sun, at two thirds of the way, inside its square.
    sun = Image.radial_gradient("L").point([max(0, 255 - 3 * v // 2) for v in range(256)])
    sun = sun.resize((600, 600))
    corner = (random.randrange(size[0] - 600), random.randrange(size[1] - 600))
    picture.paste(Image.new("RGB", sun.size, "#fff3c4"), corner, sun)
    return picture


def write_orders(file: Path) -> None:
    """Write the orders as CSV, the malformed lines included."""
    with file.open("w", newline="", encoding="utf-8") as text:
        lines = csv.writer(text)
        lines.writerow(COLUMNS)
        lines.writerows(row for _, row, _ in order_lines())


def order_lines() -> Iterator[tuple[int, list[str], Order | None]]:
    """Each line of the file: its number, its columns, and the order unless it is malformed."""
    random = Random("orders")
    first = date(2026, 1, 1)
    for number in range(1, ORDERS + 1):
        order = Order(
            number,
            (first + timedelta(days=random.randrange(365))).isoformat(),
            random.choice(PRODUCTS),
            random.randint(1, 12),
            random.randint(100, 250_000),
        )
        row = [str(column) for column in order]
        line = number + 1  # the first names the columns
        if number % MALFORMED_EVERY == 0:
            yield line, spoil(row, number // MALFORMED_EVERY), None
        else:
            yield line, row, order


def spoil(row: list[str], how: int) -> list[str]:
    number, placed, product, quantity, cents = row
    match how % 4:
        case 0:
            return [number, placed, product]
        case 1:
            return [number, "yesterday", product, quantity, cents]
        case 2:
            return [number, placed, product, "a few", cents]
        case _:
            return [number, placed, product, "0", cents]


def write_downloads(folder: Path) -> None:
    """Write files to be downloaded that do not compress, like most."""
    for number in range(1, 5):
        content = Random(number).randbytes(300_000 * number)
        (folder / f"catalogue-{number}.bin").write_bytes(content)
