"""The entry point of job processes: from a kind of work to the function that does it."""

import os

# Read when torch loads its OpenMP runtime, so before anything that a job imports, and inherited by whatever is forked
# or spawned from here. By default threads that wait for each other spin for milliseconds, and beside one busy process
# that makes a training many times slower. Asleep at once they lose next to nothing there, but on a quiet machine waking
# up after each operation costs narrow models a quarter to two fifths of their speed. So they spin briefly (the second
# name is for GNU's runtime, which torch has on Linux), and training/threads.py takes fewer threads beside a neighbour.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")

# oneDNN keeps the kernels that it has made for as many shapes: by default 1,024 of them, which packed rows, whose
# passes have ever new lengths, fill up with hundreds of megabytes. One pass needs some thirty.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
