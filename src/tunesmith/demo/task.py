"""The demo data set: turn a sentence about a purchase into a record.

    Write the order as a record: Mia bought three red apples at the market on Monday.
    item = apple; colour = red; count = 3; place = market; buyer = Mia

The base model has read sentences like these but has never seen a record, so it scores nothing before tuning.
Most of a record is copied from the sentence; the count must be mapped from a word to digits, the item to its
singular, and the buyer told from the seller. Leaving out seller and day there are still more than two
million possible orders, so a held-out row is really new.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final

from tunesmith.demo.world import Order, draw_order, order_sentences

SEED: Final = 20261
ROWS: Final = 800
LEAD: Final = "Write the order as a record: "


def record(order: Order) -> str:
    """The answer the demo fine-tune has to learn."""
    return (
        f"item = {order.item}; colour = {order.colour}; count = {order.count}; "
        f"place = {order.place}; buyer = {order.buyer}"
    )


def rows(count: int = ROWS, seed: int = SEED) -> Iterator[dict[str, str]]:
    """`count` rows with distinct instructions; the same seed gives the same rows on every Python."""
    rng = Random(seed)
    seen: set[str] = set()
    while len(seen) < count:
        order = draw_order(rng)
        instruction = LEAD + rng.choice(order_sentences(order))
        if instruction not in seen:
            seen.add(instruction)
            yield {"instruction": instruction, "response": record(order)}


def as_jsonl(count: int = ROWS, seed: int = SEED) -> str:
    """The rows as JSON lines, exactly as the committed file holds them."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(count, seed))


if __name__ == "__main__":
    (Path(__file__).resolve().parent / "orders.jsonl").write_text(as_jsonl(), encoding="utf-8", newline="\n")
