import signal

import numpy as np
import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")
signal.signal(signal.SIGINT, signal.default_int_handler)  # which the background jobs of a shell ignore


@pytest.fixture
def rng():
    return np.random.default_rng(0)


class Rows:
    """Rows of an array in place of images."""

    def __init__(self, array):
        self.array = array

    def subset(self, indices):
        return Rows(self.array[indices])

    def __len__(self):
        return len(self.array)

    def batches(self, batch_size, rng=None):
        order = np.arange(len(self)) if rng is None else rng.permutation(len(self))
        for start in range(0, len(self), batch_size):
            yield self.array[order[start : start + batch_size]]
