"""How the rows of a source are read: each by the shape that its columns have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tunesmith.data.reading.source_row import SourceBlock, SourceRow
from tunesmith.data.rows import Row, RowTable
from tunesmith.data.shaping.asking import shown, unmapped
from tunesmith.data.shaping.detection import find_shape, only_column
from tunesmith.data.shaping.mapping import mapped_shape, roles_of, template_shape
from tunesmith.data.shaping.pairs import PairShape
from tunesmith.data.shaping.shape import Shape
from tunesmith.data.shaping.texts import Unfit, extras_of, is_blank, storable
from tunesmith.data.shaping.usual_pairs import UsualPairs
from tunesmith.data.shaping.view import View, view_of
from tunesmith.schemas.datasets import RowKind
from tunesmith.schemas.enums import DataFormat
from tunesmith.schemas.errors import InvalidArgument

GROUPS = 64
"""Sets of columns, the commonest of a sample, that others are compared with."""
REMEMBERED = 10_000
"""Sets of columns whose reading is remembered. A file in which each row has its own must not fill the memory."""
COMMONER = 5
"""A set of columns is much more common than another when it is so many times as frequent."""
RARE_SHARE = 0.05
"""A column that no shape uses and that less than this share of the rows has is remarked on."""

Columns = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Route:
    """How rows of one set of columns are read.

    `extras` are the columns that play no part, with the names they are stored under; `paths` are columns that
    lie inside others. `usual` reads blocks of rows in which nothing is odd.
    """

    shape: Shape
    extras: tuple[tuple[str, str], ...]
    paths: Columns
    notes: tuple[str, ...]
    usual: UsualPairs | None


@dataclass
class Layouts:
    """The shapes of a source's rows, found in a sample of them, or the one that the caller said.

    `groups` has, for each set of columns in the sample, the number of rows and their shape; `patterns` the number
    of rows for each set of columns that are not blank, and `key_counts` that for each column; `sampled` is that of all.
    With `as_messages` rows that have a prompt become conversations of two turns, because the source also holds
    conversations. `shapes` counts the rows read so far by the form they were found in. Can be pickled.
    """

    main: Shape
    forced: Shape | None
    groups: dict[frozenset[str], tuple[int, Shape | None]]
    patterns: Counter[frozenset[str]]
    key_counts: Counter[str]
    sampled: int
    as_messages: bool = False
    row_kind: RowKind = "prompt_completion"
    shapes: Counter[str] = field(init=False, default_factory=Counter, compare=False)
    _routes: dict[Columns, _Route] = field(init=False, default_factory=dict, repr=False, compare=False)
    _others: dict[Columns, _Route | None] = field(init=False, default_factory=dict, repr=False, compare=False)

    @property
    def format(self) -> DataFormat:
        """The format of most rows."""
        return DataFormat.CHAT if self.as_messages else self.main.format

    @property
    def columns(self) -> dict[str, str]:
        """Role -> column of most rows."""
        return dict(self.main.columns)

    @property
    def template(self) -> str | None:
        """What stands around the prompts of most rows, if the caller gave it or the shape brings it along."""
        return None if self.as_messages else self.main.template

    def convert(self, source_row: SourceRow) -> Row:
        """The stored form of a source row.

        Raises:
            Unfit: for one of the dropped kinds of `quality.catalogue`.
        """
        if source_row.problem is not None:
            raise Unfit(source_row.problem)
        values = source_row.values
        columns = tuple(values)
        route = self._routes.get(columns) or self._route(columns, values)
        try:
            name, row = self._read(source_row, values, route)
        except Unfit as unfit:
            name, row = self._read_otherwise(source_row, route, unfit)
        except RecursionError as error:
            raise Unfit("wrong_shape") from error
        self.shapes[name] += 1
        return row

    def convert_block(self, block: SourceBlock) -> RowTable | None:
        """The rows of a block at once; None where one of them has to be looked at on its own."""
        columns = tuple(block.values[0])
        route = self._routes.get(columns) or self._route(columns, block.values[0])
        table = None if route.usual is None else route.usual.read(block)
        if table is not None:
            self.shapes[route.shape.name] += len(block.values)
        return table

    def _read(self, source_row: SourceRow, values: Mapping[str, Any], route: _Route) -> tuple[str, Row]:
        notes = [*source_row.notes, *route.notes]
        extras = extras_of(values, route.extras)
        if route.paths:
            values = {**values, **{path: _at(values, path) for path in route.paths}}
        return route.shape.read(source_row.number, values, extras, notes, self.as_messages)

    def _read_otherwise(self, source_row: SourceRow, route: _Route, unfit: Unfit) -> tuple[str, Row]:
        """Read the row by the columns that are not blank: a table with the columns of several shapes has the
        others' columns empty. A shape whose answer lies in a column of the first one is no other shape, nor is one
        whose answer's column is mostly filled beside the first one's.

        Raises:
            Unfit: the first one, where that fails too.
        """
        if unfit.reason not in ("missing_field", "empty") or self.forced is not None:
            raise unfit
        values = {column: value for column, value in source_row.values.items() if not is_blank(value)}
        columns = tuple(values)
        if len(columns) == len(source_row.values):
            raise unfit
        other = self._routes.get(columns) or self._route(columns, values)
        learned = other.shape.columns.get(other.shape.learned)
        first = route.shape.columns.get(route.shape.learned, "")
        if (
            learned is None
            or learned in route.shape.columns.values()
            or not self._stands_instead(learned, first)
        ):
            raise unfit
        return self._read(source_row, values, other)

    def _route(self, columns: Columns, values: Mapping[str, Any]) -> _Route:
        shape = self.forced or self._shape_for(frozenset(columns), values)
        _make_room(self._routes)
        self._routes[columns] = route = self._route_for(shape, columns)
        return route

    def _route_for(self, shape: Shape, columns: Columns) -> _Route:
        used = set(shape.columns.values())
        paths = tuple(column for column in used if column not in columns and "." in column)
        # A label is learned, and rows are stratified by it too.
        kept = {shape.columns["label"]} if "label" in shape.columns else set()
        extras = tuple(
            (column, storable(column)) for column in columns if column not in used or column in kept
        )
        rare = [column for column in columns if column not in used and self._is_rare(column)]
        usual = None
        if isinstance(shape, PairShape) and shape.is_plain and not (rare or paths or self.as_messages):
            usual = UsualPairs(shape.columns, columns, extras)
        return _Route(shape, extras, paths, ("extra_field",) if rare else (), usual)

    def _is_rare(self, column: str) -> bool:
        return self.key_counts[column] < RARE_SHARE * self.sampled

    def _stands_instead(self, one: str, other: str) -> bool:
        """Whether in the sample one column is filled where the other is not, rather than both."""
        apart = sum(count for filled, count in self.patterns.items() if one in filled and other not in filled)
        together = sum(count for filled, count in self.patterns.items() if one in filled and other in filled)
        return apart > together

    def _shape_for(self, keys: frozenset[str], values: Mapping[str, Any]) -> Shape:
        count, own = self.groups.get(keys) or (0, _aligned(find_shape(view_of([values]), None), self.main))
        larger = self._commonest(count, lambda other: keys < other)
        if larger is not None and (own is None or own.columns[own.learned] in larger.columns.values()):
            return larger
        smaller = self._commonest(count, lambda other: other < keys)
        if smaller is not None and (own is None or not smaller.columns.items() <= own.columns.items()):
            return smaller
        if own is not None:
            return own
        fuller = self._commonest(0, lambda other: keys < other, times=0)
        return fuller or self.main

    def _commonest(
        self, count: int, related: Callable[[frozenset[str]], bool], times: int = COMMONER
    ) -> Shape | None:
        """The shape of the commonest related set of columns that is much commoner than one seen `count` times."""
        found = [
            (often, shape)
            for other, (often, shape) in self.groups.items()
            if shape is not None and related(other) and often >= max(1, times * count)
        ]
        return max(found, key=lambda pair: pair[0])[1] if found else None


def find_layouts(
    sample: Sequence[Mapping[str, Any]],
    source: str,
    wanted: DataFormat | Literal["auto"] = "auto",
    named: Mapping[str, str] | None = None,
    template: str | None = None,
) -> Layouts:
    """How to read rows like those of the sample.

    `named` maps roles (in any usual spelling) to columns (`a.b` is the key b of the objects in column a).
    `template` is a prompt with {column} placeholders, or "instruction", "chat" or "completion". With either, all
    rows are read alike; without, each by the shape of its columns.

    Raises:
        UnmappedColumns: no format fits, or a named column is not there.
        InvalidArgument: the template cannot be used, or contradicts the format.
    """
    data_format, template = _wanted(wanted, template)
    view = view_of(sample)
    if named or template is not None or data_format is not None:
        forced = _forced(view, source, data_format, dict(named or {}), template)
        return _settled(Layouts(forced, forced, {}, Counter(), Counter(), 0), sample)
    groups = _groups(sample)
    shapes = {keys: find_shape(view_of(rows), None) for keys, rows in groups.items()}
    if len(groups) == 1 and not any(shapes.values()):
        shapes = {keys: only_column(view) for keys in groups}
    readable = sum(len(rows) for keys, rows in groups.items() if shapes[keys] is not None)
    largest = max(groups, key=lambda keys: len(groups[keys]))
    if not readable or (shapes[largest] is None and 2 * readable < sum(map(len, groups.values()))):
        raise unmapped(f"No format fits the columns of {source}.", view_of(groups[largest]), source, None)
    found = [(len(groups[keys]), shape) for keys, shape in shapes.items() if shape is not None]
    main = max(found, key=lambda pair: pair[0])[1]
    _require_one(main, view, source)
    counted = {keys: (len(rows), _aligned(shapes[keys], main)) for keys, rows in groups.items()}
    patterns = Counter(frozenset(key for key, value in row.items() if not is_blank(value)) for row in sample)
    key_counts = Counter(key for row in sample for key in row)
    return _settled(Layouts(main, None, counted, patterns, key_counts, len(sample)), sample)


def _wanted(
    wanted: DataFormat | Literal["auto"], template: str | None
) -> tuple[DataFormat | None, str | None]:
    """The format asked for, by its name or by that of a template, and the template's text."""
    data_format = None if wanted == "auto" else wanted
    if template in ("instruction", "chat", "completion"):
        if data_format is not None and data_format.value != template:
            raise InvalidArgument(
                f'template="{template}" and format="{data_format.value}" contradict each other.',
                "Call load_dataset again with one of them.",
            )
        return DataFormat(template), None
    if template is not None and data_format is DataFormat.CHAT:
        raise InvalidArgument(
            "A template writes a prompt, and chat rows have none.",
            "Call load_dataset again without template.",
        )
    return data_format, template


def _forced(
    view: View, source: str, wanted: DataFormat | None, named: dict[str, str], template: str | None
) -> Shape:
    missing = [column for column in named.values() if not _is_column(column, view)]
    if missing:
        raise unmapped(f"{source} has no column {shown(missing)}.", view, source, wanted)
    roles = roles_of(named)
    shape: Shape | list[str] | None
    if roles is None:
        shape = None
    elif template is not None:
        shape = template_shape(template, roles, view, wanted)
    elif roles:
        shape = mapped_shape(roles, view, wanted)
    else:
        shape = find_shape(view, wanted)
    if isinstance(shape, list):
        raise unmapped(
            f"The template names {shown(shape)}, which {source} does not have.", view, source, wanted
        )
    if shape is None:
        raise unmapped(f"No format fits the columns of {source}.", view, source, wanted)
    return shape


def _is_column(column: str, view: View) -> bool:
    return column in view.columns or ("." in column and column.split(".", 1)[0] in view.columns)


def _require_one(shape: Shape, view: View, source: str) -> None:
    """Raises UnmappedColumns where two columns had the answer's name (readers number the second one)."""
    column = shape.columns[shape.learned]
    if view.filled.get(f"{column}_2"):
        raise unmapped(f"Two columns of {source} are called {shown([column])}.", view, source, None)


def _groups(sample: Iterable[Mapping[str, Any]]) -> dict[frozenset[str], list[Mapping[str, Any]]]:
    """The rows by their set of columns, the commonest sets only."""
    groups: dict[frozenset[str], list[Mapping[str, Any]]] = {}
    for row in sample:
        groups.setdefault(frozenset(row), []).append(row)
    commonest = sorted(groups, key=lambda keys: -len(groups[keys]))[:GROUPS]
    return {keys: groups[keys] for keys in commonest}


def _aligned(shape: Shape | None, main: Shape) -> Shape | None:
    """In a source of instructions other prompts are instructions too: one source has one form of prompt."""
    if (
        isinstance(shape, PairShape)
        and shape.format is DataFormat.COMPLETION
        and isinstance(main, PairShape)
        and main.format is DataFormat.INSTRUCTION
    ):
        columns = {"instruction": shape.columns["prompt"], "response": shape.columns["completion"]}
        return PairShape(shape.name, DataFormat.INSTRUCTION, columns, shape.numeric)
    return shape


def _settled(layouts: Layouts, sample: Sequence[Mapping[str, Any]]) -> Layouts:
    """The layouts with what the sample's rows turn out to be."""
    kinds: Counter[bool] = Counter()
    for number, values in enumerate(sample, start=1):
        try:
            kinds[bool(layouts.convert(SourceRow(number, dict(values))).messages)] += 1
        except Unfit:
            continue
    layouts.shapes.clear()
    layouts.row_kind = "mixed" if len(kinds) > 1 else "messages" if kinds[True] else "prompt_completion"
    return layouts


def _make_room(routes: dict[Columns, Any]) -> None:
    if len(routes) >= REMEMBERED:
        routes.clear()


def _at(values: Mapping[str, Any], path: str) -> Any:
    """What lies at a dotted path of keys and places, or None."""
    value: Any = values
    for step in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value
