"""The tests share cores as the command does: threads of the project, none of BLAS."""

import os
import signal

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

# Where this run was started in the background, SIGINT is ignored, and so it would be in all the
# processes that are to be interrupted here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
