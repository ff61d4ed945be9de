"""Types of NumPy arrays."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Vectors = npt.NDArray[np.float32]
