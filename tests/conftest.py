"""One thread per process, before torch is loaded: small tensors gain nothing from more."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
