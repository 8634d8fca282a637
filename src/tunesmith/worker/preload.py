"""Imported once by the host's forkserver, so that the job processes forked from it start in milliseconds.

Only what a first training needs: a cold start waits for all of it. Reading data and drawing curves import the rest.
Nothing here may start a thread, open a socket or touch an accelerator: a fork would copy it half-alive.
"""

import gc
from contextlib import suppress
from importlib import import_module

_STACK = (
    "datasets",
    "pyarrow.parquet",
    "torch",
    "transformers",
    "transformers.models.llama.modeling_llama",
    "peft",
    "trl.trainer.sft_trainer",
    "bitsandbytes",
)
_OURS = (
    "tunesmith.training.configure_job",
    "tunesmith.training.train_job",
    "tunesmith.training.trainer",
    "tunesmith.evaluation.evaluate_job",
    "tunesmith.evaluation.generate_job",
    "tunesmith.evaluation.compare_job",
    "tunesmith.publishing.push_job",
)

gc.disable()  # nothing of an import is garbage, and looking for it takes a tenth of the time
for _name in (*_STACK, *_OURS):
    with suppress(ImportError):  # without the extra, each job says so itself
        import_module(_name)
gc.enable()

# What was imported stays for good: no collection in a job has to look through it, or copies its pages.
gc.collect()
gc.freeze()
