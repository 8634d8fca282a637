"""The text the demo base model is pretrained on: an endless, seeded stream of short English documents.

It is made for two abilities that a fine-tune of two small attention matrices has to find in the base: fluent
sentences of this world, and looking something up earlier in the text. Hence many questions with answers,
repeated mentions, lists said twice, invented words, and notes whose layout changes from document to document.
The records of the demo task never occur (see `tunesmith.demo.task`); their punctuation does, in other uses.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random
from typing import Final

from tunesmith.demo.world import (
    COLOURS,
    DAYS,
    ITEMS,
    NAMES,
    NUMBER_WORDS,
    PLACES,
    Order,
    capitalised,
    draw_order,
    invented_word,
    order_sentences,
    with_article,
)

SEED: Final = 7


def documents(seed: int = SEED) -> Iterator[str]:
    """Documents without end; the same seed gives the same text on every Python."""
    rng = Random(seed)
    while True:
        kind = rng.choices(_KINDS, weights=_WEIGHTS)[0]
        yield kind(rng)


def story(rng: Random) -> str:
    """One person and one thing, followed through a few sentences by name and by pronoun."""
    order = _order(rng)
    name, thing, other = order.buyer, order.item, order.seller
    one = f"the {order.colour} {thing}"
    middle = [
        f"{name} liked {one} best.",
        f"{name} lost {one} near the {rng.choice(PLACES)}.",
        f"{other} found {one} and gave it back to {name}.",
        f"{name} showed {one} to {other}.",
        f"Then {other} asked {name} about the {thing}.",
        f'"Where did you get this {thing}?" said {other}. "At the {order.place}," said {name}.',
        f'"How many {thing}s do you have?" said {other}. "I have {order.number}," said {name}.',
        f"It rained all day, but {name} was happy.",
        f"{name} put the {thing}s in {with_article(rng.choice(COLOURS))} box and went home.",
    ]
    ending = [
        f"In the end, {name} still had {one}.",
        f"{other} thanked {name}, and they walked home from the {order.place}.",
        f"After that, {name} and {other} were friends.",
        f"So {name} gave {order.goods} to {other}.",
    ]
    rng.shuffle(middle)
    return " ".join([_sentence(rng, order), *middle[: rng.randint(2, 5)], rng.choice(ending)])


def questions(rng: Random) -> str:
    """Some events, then questions about them: every answer stands earlier in the text."""
    orders = _distinct_orders(rng, rng.randint(1, 3))
    told = [_sentence(rng, order) for order in orders]
    asked = [
        pair
        for order, sentence in zip(orders, told, strict=True)
        for pair in _questions_about(rng, order, sentence)
    ]
    rng.shuffle(asked)
    ask, answer = rng.choice((("Q: ", "A: "), ("", ""), ("Teacher: ", "Pupil: "), ("- ", "- "), ("? ", "! ")))
    lines = [" ".join(told)]
    for question, reply in asked[: rng.randint(3, 7)]:
        lines += [f"{ask}{question}", f"{answer}{reply}"]
    if ask == "":
        return " ".join(lines)
    return "\n".join(lines)


def notes(rng: Random) -> str:
    """Several events, each followed by a note; the layout is new in each document and kept within it."""
    orders = _distinct_orders(rng, rng.randint(1, 3))
    told = [_sentence(rng, order) for order in orders]
    pairs = list(zip(orders, told, strict=True))
    known = [kind for kind in _LABELS if all(str(getattr(order, kind)) in text for order, text in pairs)]
    kinds = ["count", *known]
    rng.shuffle(kinds)
    fields = [(kind, rng.choice(_LABELS[kind])) for kind in kinds[: rng.randint(2, 6)]]
    if rng.random() < 0.1:
        fields = [(kind, invented_word(rng)) for kind, _ in fields]
    if rng.random() < 0.3:
        fields = [(kind, capitalised(label)) for kind, label in fields]
    joint, gap = rng.choice(_JOINTS), rng.choice(_GAPS)
    digits, first = rng.random() < 0.6, rng.random() < 0.2
    head = rng.choice(("", "", "Note: ", "Card\n", "In short: ", "# Notes\n", "* "))
    blocks: list[str] = []
    for order, sentence in pairs:
        values = {kind: str(getattr(order, kind)) for kind in kinds}
        values["count"] = values["count"] if digits else order.number
        note = head + gap.join(f"{label}{joint}{values[kind]}" for kind, label in fields)
        blocks.append(f"{note}\n{sentence}" if first else f"{sentence}\n{note}")
    return rng.choice(("\n\n", "\n")).join(blocks)


def retelling(rng: Random) -> str:
    """An event, then its parts named one by one in plain sentences."""
    order = _order(rng)
    sentence = _sentence(rng, order)
    parts = [
        f"The buyer was {order.buyer}.",
        f"The item was {with_article(order.item)}.",
        f"The colour was {order.colour}.",
        f"The count was {rng.choice((order.number, str(order.count)))}.",
        f"The place was the {order.place}.",
        f"There were {order.count} {order.item}s.",
    ]
    if order.seller in sentence:
        parts.append(f"The seller was {order.seller}.")
    rng.shuffle(parts)
    return " ".join([sentence, *parts[: rng.randint(2, 6)]])


def echo(rng: Random) -> str:
    """A list said twice, sometimes backwards, with real and invented words."""
    size = rng.randint(3, 9)
    words = rng.sample(rng.choice((NAMES, ITEMS, COLOURS, PLACES, NAMES + ITEMS + COLOURS + PLACES)), size)
    if rng.random() < 0.1:
        words = [invented_word(rng) for _ in words]
    gap = rng.choice((", ", " ", "; ", " - ", "\n", " and ", " / "))
    again, second = rng.choice((("Again", words), ("Once more", words), ("Backwards", words[::-1])))
    return f"{rng.choice(('List', 'Words', 'Say'))}: {gap.join(words)}\n{again}: {gap.join(second)}"


def glossary(rng: Random) -> str:
    """Words with a meaning that holds in this document only, then looked up again."""
    size = rng.randint(3, 6)
    strange = rng.sample(ITEMS, size) if rng.random() < 0.7 else [invented_word(rng) for _ in range(size)]
    plain = rng.sample(rng.choice((NAMES, COLOURS, PLACES, DAYS)), size)
    joint = rng.choice((" = ", " means ", ": ", " -> ", " is "))
    pairs = [f"{left}{joint}{right}" for left, right in zip(strange, plain, strict=True)]
    order = list(range(size))
    rng.shuffle(order)
    gap = rng.choice(("; ", ", ", "\n", ". "))
    asked = [rng.choice((f"{strange[i]}? {plain[i]}.", f"{plain[i]}? {strange[i]}.")) for i in order]
    return f"{gap.join(pairs)}\n{rng.choice((' ', chr(10))).join(asked)}"


def sums(rng: Random) -> str:
    """Numbers as words and as digits, and small sums."""
    lines: list[str] = []
    for _ in range(rng.randint(3, 6)):
        left, right = rng.randint(2, 6), rng.randint(2, 6)
        total, item, name = left + right, rng.choice(ITEMS), rng.choice(NAMES)
        lines.append(
            rng.choice(
                (
                    f"{left} + {right} = {total}",
                    f"{NUMBER_WORDS[left]} and {NUMBER_WORDS[right]} make {NUMBER_WORDS[total]}",
                    f"{NUMBER_WORDS[total]} ({total}) {item}s",
                    f"{name} has {NUMBER_WORDS[total]} {item}s: {total}",
                    f"{total} is {NUMBER_WORDS[total]}",
                )
            )
        )
    return rng.choice(("\n", "; ", ". ")).join(lines)


def letter(rng: Random) -> str:
    """A short letter: fluent text with a sender, a receiver and a thing that return at the end."""
    order = _order(rng)
    body = [
        f"How are you? I am at the {order.place} now.",
        f"Yesterday I bought {order.goods}.",
        f"Do you want {with_article(order.colour)} {order.item}?",
        f"Please bring the {rng.choice(ITEMS)} on {order.day}.",
        f"I will come home on {order.day}.",
        f"Thank you for the {order.item}s!",
        "The order was right.",
        "I will write this in my book.",
        "Please write soon.",
    ]
    rng.shuffle(body)
    reply = f"\n\nDear {order.buyer},\nThe {order.item}s came. See you at the {order.place}!\n{order.seller}"
    text = f"Dear {order.seller},\n{' '.join(body[: rng.randint(2, 5)])}\nYours, {order.buyer}"
    return text + (reply if rng.random() < 0.5 else "")


# The words a note may use for each part of an order. No joint is the equals sign of the demo task's records,
# and no gap their semicolon.
_LABELS: Final = {
    "buyer": ("who", "name", "person", "customer"),
    "seller": ("seller", "from"),
    "item": ("what", "thing", "goods", "item"),
    "colour": ("paint", "shade", "tint", "colour"),
    "count": ("how many", "number", "amount", "count"),
    "place": ("where", "spot", "place"),
    "day": ("when", "day"),
}
_JOINTS: Final = (": ", " - ", " is ", " -> ", " ")
_GAPS: Final = (", ", "\n", " / ", " | ", ". ", "\n- ")


def _order(rng: Random) -> Order:
    """An order of this world; now and then a part of it is an invented word, which can only be copied."""
    order = draw_order(rng)
    if rng.random() < 0.08:
        order = replace(order, buyer=capitalised(invented_word(rng)))
    if rng.random() < 0.08:
        order = replace(order, item=invented_word(rng))
    if rng.random() < 0.04:
        order = replace(order, colour=invented_word(rng))
    return order


def _distinct_orders(rng: Random, count: int) -> list[Order]:
    """Orders that differ in buyer and item, so that a question about either has one answer."""
    orders: list[Order] = []
    while len(orders) < count:
        new = _order(rng)
        if all(new.buyer not in (o.buyer, o.seller) and new.item != o.item for o in orders):
            orders.append(new)
    return orders


def _sentence(rng: Random, order: Order) -> str:
    """The order told as the demo task tells it, or in a way that only this corpus has."""
    o = order
    if rng.random() < 0.7:
        *plain, with_seller = order_sentences(o)
        return rng.choice((*plain, f"{o.seller} sold {o.goods} to {o.buyer} at the {o.place}.", with_seller))
    return rng.choice(
        (
            f"Last {o.day}, {o.buyer} got {o.goods} from {o.seller} near the {o.place}.",
            f"There were {o.goods} at the {o.place}, and {o.buyer} took them home.",
            f"{o.buyer} carried {o.goods} to the {o.place} on {o.day}.",
            f"{o.buyer} was at the {o.place} on {o.day} and found {o.goods}.",
            f"{o.seller} gave {o.goods} to {o.buyer} at the {o.place}.",
        )
    )


def _questions_about(rng: Random, order: Order, sentence: str) -> list[tuple[str, str]]:
    """Questions that the sentence answers."""
    o = order
    number = rng.choice((o.number, str(o.count)))
    seller = [(f"Who had the {o.item}s before?", f"{o.seller}.")] if o.seller in sentence else []
    return [
        *seller,
        (f"Who got the {o.item}s?", rng.choice((f"{o.buyer}.", f"{o.buyer} did."))),
        (f"What did {o.buyer} get?", rng.choice((f"{capitalised(o.goods)}.", f"{capitalised(o.item)}s."))),
        (
            f"What colour were the {o.item}s?",
            rng.choice((f"{capitalised(o.colour)}.", f"They were {o.colour}.")),
        ),
        (f"How many {o.item}s were there?", rng.choice((f"{capitalised(number)}.", f"There were {number}."))),
        (f"Where was {o.buyer}?", f"At the {o.place}."),
        (f"What is one of the {o.item}s?", f"{capitalised(with_article(o.colour))} {o.item}."),
    ]


_KINDS: Final[tuple[Callable[[Random], str], ...]] = (
    story, questions, notes, retelling, echo, glossary, sums, letter,
)  # fmt: skip
_WEIGHTS: Final = (10, 24, 26, 22, 5, 5, 4, 4)
