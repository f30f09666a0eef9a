"""How tests start ``amended-darts`` as a process: with one thread, as the tests themselves run."""

from __future__ import annotations

import os
import sys

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
COMMAND = [sys.executable, "-m", "amended_darts"]
