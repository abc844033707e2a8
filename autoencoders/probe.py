"""A linear probe: it reads the factors of embedded faces, such as the smile, from pictures of them.

Letters for shapes: N pictures, of which n are fitted on, D = 12288 values in [-1, 1], F factors.
"""

import numpy as np

RIDGE = 10.0  # small enough to read a smile, large enough not to read the noise of a decoder
WORTH_SAYING = 0.5  # the r^2 of a factor that is read well enough to be mentioned


class FactorProbe:
    """Reads the factors of embedded faces from pictures: ridge regression on the pixels.

    r2: {factor: r^2 on the fifth of the faces that it was not fitted on}; decoded_r2: the same on what `model` makes
    of those faces. `read` returns only the factors for which both are at least 0.5: what a decoder leaves out of
    its pictures, nobody can read from them. What it reads lies within the range of the factor: in a picture unlike
    any face, a line that goes on for ever is no guide.
    """

    def __init__(self, features, factors, model):
        """features: (N, D); factors: {name: (N,)}, as make_faces returns them; model: features -> features."""
        values = np.stack(list(factors.values()), axis=1)  # (N, F)
        self._ranges = {name: (column.min(), column.max()) for name, column in factors.items()}
        fitted = len(features) * 4 // 5
        self._mean, self._value_mean = features[:fitted].mean(axis=0), values[:fitted].mean(axis=0)  # (D,), (F,)
        X, Y = features[:fitted] - self._mean, values[:fitted] - self._value_mean  # (n, D), (n, F)
        # W = (X^T X + r I)^-1 X^T Y = X^T (X X^T + r I)^-1 Y, of which the second inverse is the smaller
        weights = X.T @ np.linalg.solve(X @ X.T + RIDGE * np.eye(fitted), Y)  # (D, F)
        self._weights = weights.astype(features.dtype)
        held_out = values[fitted:]

        def r2(pictures):
            squares = np.mean((self._predict(pictures) - held_out) ** 2, axis=0)  # (F,)
            return dict(zip(factors, (1 - squares / held_out.var(axis=0)).tolist()))

        self.r2, self.decoded_r2 = r2(features[fitted:]), r2(model(features[fitted:]))

    def _predict(self, pictures):
        return (pictures - self._mean) @ self._weights + self._value_mean  # (N, F)

    def read(self, pictures):
        """{factor: (N,)} of pictures (N, D)."""
        return {
            name: np.clip(values, *self._ranges[name])
            for name, values in zip(self.r2, self._predict(pictures).T)
            if min(self.r2[name], self.decoded_r2[name]) >= WORTH_SAYING
        }
