"""Stops a training whose held-out loss no longer falls, and keeps the weights that were best."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tunesmith.jobs.files import read_document, write_document
from tunesmith.schemas.base import Document

_WEIGHTS = "best_weights.safetensors"
_RECORD = "best_weights.json"


class Record(Document):
    """What has been evaluated so far. `worse` counts the evaluations since the best one."""

    step: int = 0
    loss: float | None = None
    worse: int = 0


class EarlyStopping:
    """Watches one training of `model`: only what is trained of it is kept, in `scratch`, and in its checkpoints.

    Evaluated before the first step, the untrained model is no candidate: a run hands back something that it trained.
    """

    def __init__(self, patience: int, model: Any, scratch: Path, resume_from: Path | None) -> None:
        self._patience = patience
        self._model = model
        self._scratch = scratch
        kept = None if resume_from is None else read_document(resume_from / _RECORD, Record)
        self.record = kept or Record()
        if kept is not None and resume_from is not None:
            shutil.copyfile(resume_from / _WEIGHTS, scratch / _WEIGHTS)

    @property
    def is_over(self) -> bool:
        """Whether the last `patience` evaluations were all no better than the best one."""
        return self.record.worse >= self._patience

    def evaluated(self, step: int, loss: float) -> None:
        """Take notice of a held-out loss."""
        if self.record.loss is None or loss < self.record.loss:
            self.record = Record(step=step, loss=loss)
            self._write()
        else:
            self.record = self.record.model_copy(update={"worse": self.record.worse + 1})

    def add_to(self, checkpoint: Path) -> None:
        """Put what a resumed training needs to know into the files of a checkpoint that is not committed yet."""
        if self.record.loss is not None:
            shutil.copyfile(self._scratch / _WEIGHTS, checkpoint / _WEIGHTS)
            write_document(checkpoint / _RECORD, self.record)

    def restore(self) -> None:
        """Give the model its best weights back."""
        from safetensors.torch import load_file

        if self.record.loss is None:
            return
        best = load_file(self._scratch / _WEIGHTS)
        for name, weight in self._model.named_parameters():
            if weight.requires_grad:
                weight.data.copy_(best[name])
        (self._scratch / _WEIGHTS).unlink()

    def _write(self) -> None:
        from safetensors.torch import save_file

        learned = {
            name: weight.detach().contiguous()
            for name, weight in self._model.named_parameters()
            if weight.requires_grad
        }
        save_file(learned, self._scratch / _WEIGHTS)
