"""One thread: the networks are tiny."""

from ..threads import one_thread as one_thread
