"""`python -m tunesmith.worker STORE HANDLE ATTEMPT` does one attempt at some work in this process."""

import sys

from tunesmith.worker.entry import run_job

if __name__ == "__main__":
    run_job(sys.argv[1], sys.argv[2], int(sys.argv[3]))
