"""Orders of the shop: their CSV file and their table."""

import csv
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import NamedTuple

COLUMNS = ["id", "placed", "product", "quantity", "cents"]

UPSERT = """
    insert into orders (id, placed, product, quantity, cents) values (?, ?, ?, ?, ?)
    on conflict (id) do update set placed = excluded.placed, product = excluded.product,
        quantity = excluded.quantity, cents = excluded.cents
"""


class Order(NamedTuple):
    id: int
    placed: str  # YYYY-MM-DD
    product: str
    quantity: int
    cents: int


def create_table(database: Path) -> None:
    with closing(sqlite3.connect(database)) as shop, shop:
        shop.execute("pragma journal_mode = wal")
        shop.execute(
            "create table orders (id integer primary key, placed text not null,"
            " product text not null, quantity integer not null, cents integer not null) strict"
        )


def read_table(database: Path) -> list[Order]:
    with closing(sqlite3.connect(database)) as shop:
        rows = shop.execute("select id, placed, product, quantity, cents from orders order by id")
        return [Order._make(row) for row in rows]


def count_lines(file: Path) -> int:
    with file.open("rb") as lines:
        return sum(1 for _ in lines)


def read_batches(file: Path, malformed: dict[int, str], *, size: int) -> Iterator[list[Order]]:
    """Read a CSV file of orders, `size` at a time; lines that are none go into `malformed`."""
    with file.open(newline="", encoding="utf-8") as text:
        lines = csv.reader(text)
        next(lines)  # the names of the columns
        batch: list[Order] = []
        for row in lines:
            try:
                batch.append(parse(row))
            except ValueError as error:
                malformed[lines.line_num] = str(error)
            if len(batch) == size:
                yield batch
                batch = []
        yield batch


def parse(row: list[str]) -> Order:
    if len(row) != len(COLUMNS):
        raise ValueError(f"{len(row)} columns instead of {len(COLUMNS)}")
    number, placed, product, quantity, cents = row
    order = Order(
        int(number), date.fromisoformat(placed).isoformat(), product, int(quantity), int(cents)
    )
    if order.quantity < 1:
        raise ValueError(f"a quantity of {order.quantity}")
    return order
