"""Averages of LoRA pairs whose product is near the mean of the clients' products.

Client u holds B_u (out, r) and A_u (r, in), and its layer adds the product B_u A_u. The mean of the
factors has another product than the mean of the products, mean(BA) = sum_u w_u B_u A_u, which has a
rank of up to U r. What is near it at rank r:

- `svd`: its truncated singular value decomposition, the best there is (Eckart and Young); by QR of
  the stacked factors, so that no matrix larger than (out + in, U r) is made.
- `flora_na`: (sum_u p_u B_u)(sum_u q_u A_u) with the weights p, q that bring it nearest
  (FLoRA-NA, arXiv 2509.26399), by alternating least squares.

All in float64. Nothing here knows of files.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
_SWEEPS = 20


@dataclass(frozen=True, slots=True)
class Factors:
    """One client's factors of a layer, with its share of the mean; shares add up to 1."""

    share: float
    a: Matrix  # (r, in); of a convolution (r, in * height * width)
    b: Matrix  # (out, r)


def factor_mean(given: Sequence[Factors]) -> tuple[Matrix, Matrix]:
    """A and B as the means of the factors apart: what averaging all tensors alike does."""
    shares = [g.share for g in given]
    return _mixed(shares, [g.a for g in given]), _mixed(shares, [g.b for g in given])


def svd(given: Sequence[Factors]) -> tuple[Matrix, Matrix]:
    """A and B whose product is the best of rank r to mean(BA); both take the singular values' root.

    The sign of each singular vector is that which makes the largest value of B's column positive.
    """
    rank = len(given[0].a)
    left, inner = np.linalg.qr(np.hstack([g.share * g.b for g in given]))
    right, outer = np.linalg.qr(np.hstack([g.a.T for g in given]))
    u, values, v = np.linalg.svd(inner @ outer.T)
    root = np.sqrt(values[:rank])
    n = len(root)  # below the rank where the layer itself is narrower
    b = np.zeros((len(left), rank))
    a = np.zeros((rank, len(right)))
    b[:, :n] = left @ (u[:, :n] * root)
    a[:n] = (right @ (v[:n].T * root)).T
    signs = np.where(b[np.abs(b).argmax(axis=0), np.arange(rank)] < 0, -1.0, 1.0)
    return a * signs[:, None], b * signs


def flora_na(given: Sequence[Factors]) -> tuple[Matrix, Matrix]:
    """A and B, each mixed of the clients' own by the weights that bring their product nearest.

    Starts at the shares and never goes away from mean(BA): it ends no farther than `factor_mean`.
    """
    p = q = np.array([g.share for g in given])
    for _ in range(_SWEEPS):
        a = _mixed(q, [g.a for g in given])
        p = _least(a @ a.T, [g.b for g in given], [(g.share, g.b, g.a @ a.T) for g in given])
        b = _mixed(p, [g.b for g in given])
        turned = [(g.share, g.a.T, g.b.T @ b) for g in given]
        q = _least(b.T @ b, [g.a.T for g in given], turned)
    return _mixed(q, [g.a for g in given]), _mixed(p, [g.b for g in given])


def distances(given: Sequence[Factors], a: Matrix, b: Matrix) -> tuple[float, float]:
    """|mean(BA) - B^ A^| and |mean(BA)|, Frobenius norms."""
    rest = _norm([*(g.share * g.b for g in given), -b], [*(g.a for g in given), a])
    return rest, _norm([g.share * g.b for g in given], [g.a for g in given])


def _mixed(weights: Sequence[float] | Matrix, matrices: Sequence[Matrix]) -> Matrix:
    """Their weighted sum, in their order."""
    total = np.zeros_like(matrices[0])
    for weight, matrix in zip(weights, matrices, strict=True):
        total += weight * matrix
    return total


def _least(
    gram: Matrix, movable: Sequence[Matrix], wanted: Sequence[tuple[float, Matrix, Matrix]]
) -> Matrix:
    """The weights of the matrices X_u (n, r) for which sum_u weight_u X_u Y is nearest to mean(BA).

    gram: Y Y^T (r, r). wanted: share, X_v and Y_v Y^T of each client, mean(BA) being the sum of
    share X_v Y_v. Inner products are traces: <X_u Y, X_v Y_v> = tr(X_u^T X_v Y_v Y^T).
    """
    normal = np.array([[np.sum((x.T @ z) * gram.T) for z in movable] for x in movable])
    right = [sum(s * np.sum((x.T @ z) * k.T) for s, z, k in wanted) for x in movable]
    return np.asarray(np.linalg.lstsq(normal, np.array(right), rcond=None)[0], dtype=np.float64)


def _norm(left: Sequence[Matrix], right: Sequence[Matrix]) -> float:
    """The Frobenius norm of sum_u left_u right_u, without making it."""
    _, inner = np.linalg.qr(np.hstack(left))
    _, outer = np.linalg.qr(np.hstack([matrix.T for matrix in right]))
    return float(np.linalg.norm(inner @ outer.T))
