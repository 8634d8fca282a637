"""The small world that both the pretraining text and the demo data set talk about.

The two must share words and turns of phrase: the base learns to read this world, and the demo fine-tune then
only has to learn what to write about it.
"""

from dataclasses import dataclass
from random import Random
from typing import Final

NAMES: Final = (
    *("Ada", "Anna", "Ben", "Carla", "Dan", "Dora", "Ella", "Emil", "Felix", "Greta", "Hana", "Hugo"),
    *("Ida", "Ivan", "Jack", "Jonas", "Karl", "Lena", "Leo", "Lucy", "Maria", "Mia", "Nina", "Noah"),
    *("Olga", "Oscar", "Paul", "Petra", "Rosa", "Ruben", "Sam", "Sara", "Tom", "Vera", "Victor", "Zoe"),
)
ITEMS: Final = (
    *("apple", "ball", "basket", "bell", "blanket", "boat", "book", "bottle", "bowl", "button", "candle"),
    *("card", "carpet", "chair", "clock", "coat", "cup", "drum", "flower", "hat", "jar", "kettle", "kite"),
    *("lamp", "marble", "mirror", "pen", "pillow", "plate", "ribbon", "ring", "shirt", "spoon", "table"),
    *("tent", "ticket", "towel", "vase", "wagon", "whistle"),
)
COLOURS: Final = (
    *("black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow"),
)
PLACES: Final = (
    *("airport", "bridge", "castle", "fair", "farm", "garden", "harbour", "library", "market", "mill"),
    *("museum", "park", "school", "shop", "station", "theatre"),
)
DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NUMBER_WORDS: Final = dict(
    enumerate(
        ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"), start=2
    )
)

_ONSETS: Final = (*"bdfgklmnprstvz", "br", "dr", "kl", "sh", "tr")
_VOWELS: Final = tuple("aeiou")
_CODAS: Final = ("", "", *"bklmnprt")


@dataclass(frozen=True, slots=True)
class Order:
    """One purchase: who bought how many of what from whom, where and when."""

    buyer: str
    seller: str
    item: str
    colour: str
    count: int
    place: str
    day: str

    @property
    def number(self) -> str:
        """The count as a word."""
        return NUMBER_WORDS[self.count]

    @property
    def goods(self) -> str:
        """The bought things as prose: `three red apples`."""
        return f"{self.number} {self.colour} {self.item}s"


def draw_order(rng: Random) -> Order:
    """One order with every part drawn independently; buyer and seller differ."""
    buyer, seller = rng.sample(NAMES, 2)
    return Order(
        buyer=buyer,
        seller=seller,
        item=rng.choice(ITEMS),
        colour=rng.choice(COLOURS),
        count=rng.choice(tuple(NUMBER_WORDS)),
        place=rng.choice(PLACES),
        day=rng.choice(DAYS),
    )


def invented_word(rng: Random) -> str:
    """A word of no language. Nothing but copying can predict it, so it teaches copying."""
    parts = (_ONSETS, _VOWELS, _CODAS) * rng.randint(1, 2)
    return "".join(rng.choice(part) for part in parts)


def capitalised(text: str) -> str:
    """Upper-case the first letter and leave the rest alone (`str.capitalize` would lower names)."""
    return text[:1].upper() + text[1:]


def with_article(noun: str) -> str:
    """The noun with `a` or `an`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def order_sentences(order: Order) -> tuple[str, ...]:
    """The order told in each of the ways that the demo task uses. The buyer may be named with the seller."""
    o = order
    return (
        f"{o.buyer} bought {o.goods} at the {o.place} on {o.day}.",
        f"On {o.day}, {o.buyer} went to the {o.place} and bought {o.goods}.",
        f"At the {o.place}, {o.buyer} paid for {o.goods} on {o.day}.",
        f"At the {o.place}, {o.goods} were sold to {o.buyer} on {o.day}.",
        f"{o.buyer} bought {o.goods} from {o.seller} at the {o.place}.",
    )
