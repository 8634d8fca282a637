"""The entry point of job processes: from a kind of work to the function that does it."""

import os

# Read when torch loads its OpenMP runtime, so before anything that a job imports, and inherited by whatever is forked
# or spawned from here. By default threads that wait for each other spin: beside one busy process that makes a training
# several times slower; asleep they lose next to nothing. KMP_BLOCKTIME, the same for Intel's, follows from it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
