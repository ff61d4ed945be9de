"""Types of NumPy arrays."""

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Vectors = npt.NDArray[np.float32]
