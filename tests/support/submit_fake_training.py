"""Submits a fake training and leaves: `python -m tests.support.submit_fake_training STORE`."""

import sys
from pathlib import Path

from tests.support.fake_trainer import FakeTraining
from tunesmith.jobs import submission
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import new_handle

if __name__ == "__main__":
    submission.create(
        Store(Path(sys.argv[1])), new_handle(Work.TRAIN), FakeTraining(total_steps=2, save_steps=1)
    )
