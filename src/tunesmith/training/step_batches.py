"""The tensors of one optimizer step: its rows, cut into forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from tunesmith.training.packing import alone, in_line, pack
from tunesmith.training.rendering import NO_LOSS, Rendered


@dataclass(frozen=True)
class Pass:
    """One forward pass over some of a step's rows.

    `input_ids` is [sequences, tokens]. `attention_mask` has the same shape and is None where several rows share a
    sequence: then `position_ids`, also of that shape, begin anew with each row, from which transformers builds a mask
    that lets each row see only itself. Padding stands on the right, where causal attention alone keeps it out of sight.
    `predicting` are the sequences and the places in them whose next token carries loss, [2, loss tokens], and `targets`
    those tokens, [loss tokens]. `row_lengths` are those of the rows in the one sequence of a pass that attends by row
    (training/row_attention.py), None elsewhere.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor | None
    attention_mask: torch.Tensor | None
    predicting: torch.Tensor
    targets: torch.Tensor
    row_lengths: list[int] | None = None

    def to(self, device: torch.device) -> Pass:
        """The same on another device."""
        tensors = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, torch.Tensor)
        }
        return replace(self, **tensors)


@dataclass(frozen=True)
class StepBatch:
    """All that one optimizer step learns from. `tokens` leave padding out; the loss is a mean over `loss_tokens`."""

    passes: list[Pass]
    tokens: int
    loss_tokens: int


@dataclass(frozen=True)
class Batcher:
    """Makes step batches of which a pass has at most `most_tokens` tokens, and without packing `micro_batch_size` rows,
    but one row at least. With `packing` rows share sequences, with `by_row` all of a pass one."""

    packing: bool
    micro_batch_size: int
    max_length: int
    most_tokens: int
    hidden_size: int
    pad_token_id: int
    by_row: bool = False

    def __call__(self, rows: Sequence[Rendered]) -> StepBatch:
        """The batch of a step over `rows`, at least one."""
        lengths = [len(row.input_ids) for row in rows]
        if self.packing and self.by_row:
            cut = [[rows_in_line] for rows_in_line in in_line(lengths, self.most_tokens).sequences]
        elif self.packing:
            cut = pack(lengths, self.max_length, self.hidden_size).passes(self.most_tokens)
        else:
            layout = alone(lengths)
            cut = layout.passes(min(self.most_tokens, self.micro_batch_size * layout.width))
        passes = [self._pass([[rows[place] for place in sequence] for sequence in part]) for part in cut]
        return StepBatch(passes, sum(lengths), sum(len(each.targets) for each in passes))

    def _pass(self, sequences: Sequence[Sequence[Rendered]]) -> Pass:
        width = max(sum(len(row.input_ids) for row in rows) for rows in sequences)
        ids = torch.full((len(sequences), width), self.pad_token_id)
        labels = torch.full((len(sequences), width), NO_LOSS)
        positions = torch.arange(width).repeat(len(sequences), 1)
        mask = torch.zeros(len(sequences), width, dtype=torch.long)
        for index, rows in enumerate(sequences):
            start = 0
            for row in rows:
                end = start + len(row.input_ids)
                ids[index, start:end] = torch.tensor(row.input_ids)
                labels[index, start:end] = torch.tensor(row.labels)
                labels[index, start] = NO_LOSS  # nothing before it belongs to its row
                # What pads the sequence goes on counting: it takes part in the last row, behind all that looks at it.
                positions[index, start:] = torch.arange(width - start)
                mask[index, start:end] = 1
                start = end
        predicting = (labels[:, 1:] != NO_LOSS).nonzero().T.contiguous()
        targets = labels[:, 1:][predicting[0], predicting[1]]
        if self.packing:
            row_lengths = [len(row.input_ids) for row in sequences[0]] if self.by_row else None
            return Pass(ids, positions, None, predicting, targets, row_lengths)
        return Pass(ids, None, mask, predicting, targets)
