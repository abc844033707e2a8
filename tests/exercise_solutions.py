"""What stands in the place of each `...` of docs/exercises.md, by program; test_exercises.py runs them."""

SOLUTIONS = {
    "linear.py": [
        """
        self.weight.grad += grad_output.T @ x
        self.bias.grad += grad_output.sum(axis=0)
        return grad_output @ self.weight.data
"""
    ],
    "relu.py": ["return np.where(x > 0, grad_output, 0)"],
    "tanh.py": ["self._cache = 1 - y * y", "return grad_output * kept"],
    "sampler.py": ["return grad_output.copy(), grad_output * spread / 2"],
    "kl.py": ["return value, mu / N, (np.exp(logvar) - 1) / (2 * N)"],
    "bce.py": [
        """
    value = np.mean(np.logaddexp(0, -scores) + (1 - targets) * scores)
    return value, (0.5 * (1 + np.tanh(scores / 2)) - targets) / scores.size
"""
    ],
    "cross_entropy.py": [
        """
    N = len(scores)
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    grad = p.copy()
    grad[np.arange(N), labels] -= 1
    return -np.mean(np.log(p[np.arange(N), labels])), grad / N
"""
    ],
    "layer_norm.py": [
        """
        self.g.grad += (grad_output * normal).sum(axis=0)
        self.b.grad += grad_output.sum(axis=0)
        d = grad_output * self.g.data
        by_mean, by_std = d.mean(axis=1, keepdims=True), (d * normal).mean(axis=1, keepdims=True)
        return (d - by_mean - normal * by_std) / std
"""
    ],
    "adam.py": [
        """
        self.m = self.beta1 * self.m + (1 - self.beta1) * g
        m = self.m / (1 - self.beta1**self.t)
"""
    ],
    "kink.py": [
        """
    while (near := abs(x) <= h).any():
        x[near] = rng.standard_normal(near.sum())
"""
    ],
}
