"""Selection by cross-validation: the form of a structure, its penalty, and whether it may stand for the raw scores.

Scores s = y + e hold what is looked for, y, and an error e; a structure P s keeps a part of both. The structure is the
better score where it loses less of y than it takes out of e. With U the share of the variance of ranks that it leaves
unexplained on held-out networks, and E the share that is error of the raw scores and no structure,

    U = (what of y it loses) + E, so that it loses less than E exactly where U < 2 E,

which is Spearman's correction for attenuation: held-out predictions agree with a score at least as well as a second
score of the same network, as noisy as the first, would. U is measured. E is the greater one of

- what is known: the noise of the validation images, from the interval of each score, as if it were drawn once more; and
  the error of shared weights, of which a second look at the same supernet shows nothing, so it is assumed (`SHARED`);
- where there are enough networks, what terms for all pairs of decisions, which are no chain, leave as well: V. They
  show that at least U - V of y is lost. If terms of more decisions would show as much again, E = V - (U - V).

It fails where these assumptions do: scores better than assumed that have interactions of many decisions are smoothed
away, and scores worse than assumed are kept. Of few networks U is too great, as the fit is poor: raw scores are kept.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod

import numpy as np
from scipy.stats import norm

from search.structure.calibration import MOST_EXACT, calibrated
from search.structure.model import FORMS, Fit, Floats, Ridge, features, ranks, terms
from supernet import Architecture
from supernet.decisions import DecisionSpace
from supernet.elimination import Scope

PENALTIES: Floats = 10.0 ** np.arange(-2, 3.25, 0.5)
FOLDS = 10
FEWEST = 2 * FOLDS  # networks of which anything is chosen
ENOUGH = 3  # networks for each free number of a form, from which on what it leaves says something

SHARED = 0.1
"""The share of the variance of ranks that is error of shared weights beyond what is structure: a rank correlation of
0.95 with what is looked for, which no supernet known here exceeds."""

DRAWS = 8  # of the noise of images


@dataclass(frozen=True, eq=False)
class Selection:
    """The structure that predicts held-out scores best.

    Attributes:
        fit: of the structure to all networks.
        form: one of FORMS.
        networks: distinct ones that were cross-validated.
        unexplained: share of the variance of their ranks that predictions of held-out networks leave, U.
        error: share that is error of the raw scores, E.
        unpredictable: whether that is what terms for all pairs leave as well, and not what was known before.
        held_out: (N,) the prediction of each network by fits without it.
    """

    fit: Fit
    form: str
    networks: int
    unexplained: float
    error: float
    unpredictable: bool
    held_out: Floats

    @property
    def accepted(self) -> bool:
        """True where the structure is the better score: it leaves less than twice the error of the raw ones."""
        return self.unexplained < 2 * self.error

    @property
    def words(self) -> str:
        """Words for the choice and its reason, for people."""
        left = f"leaves {self.unexplained:.3f} of the variance of held-out ranks ({self.networks:,} networks)"
        how = "which no pairs of decisions predict" if self.unpredictable else "known or assumed"
        error = f"twice the error of raw scores ({self.error:.3f}, {how})"
        if self.accepted:
            return f"structure accepted: {self.form}, penalty {self.fit.penalty:.2g}, {left}, less than {error}"
        return f"structure rejected, raw scores count: the best form ({self.form}) {left}, not less than {error}"


def select(
    space: DecisionSpace,
    architectures: Sequence[Architecture],
    scores: Floats,
    error: float,
    same: Sequence[Hashable] | None = None,
    trained: Mapping[Architecture, float] | None = None,
    shared: float = 0.0,
) -> Selection | None:
    """The form and the penalty of the least squared error on held-out ranks, over FOLDS folds of distinct networks.

    The error of shared weights may be a structure, too. So a form of more terms must explain more than it.

    Args:
        architectures: N of the space.
        scores: (N,), greater is better.
        error: share of the variance of ranks that is error of the scores, without the part of shared weights.
        same: (N,) keys, equal for architectures that are the same network, which are held out together.
        trained: accuracies of networks trained alone, which the structure is fitted to as well.
        shared: share of the variance of ranks that is error of shared weights.

    Returns:
        None of fewer than FEWEST networks, or of scores that are all the same.
    """
    keys = [space.canonical(a) for a in architectures] if same is None else same
    numbers: dict[Hashable, int] = {}
    network = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.intp)
    if len(numbers) < FEWEST or np.ptp(scores) == 0:
        return None
    codes, targets = space.encode(architectures), ranks(scores)
    fold = (np.random.default_rng(0).permutation(len(numbers)) % FOLDS)[network]
    decisions, variance = range(len(space.sizes)), float(targets.var())
    # 1. The form and the penalty that predict held-out networks best.
    found = {form: _held_out(codes, targets, fold, space.sizes, terms(len(decisions), form)) for form in FORMS}
    least, *more = FORMS
    form = min(more, key=lambda name: found[name][0])
    if found[least][0] - found[form][0] <= shared * variance:
        form = least
    error += shared
    squared, penalty, held_out = found[form]
    # 2. What all pairs of decisions leave as well is error, as far as there are networks enough to say so.
    pairs = [*((d,) for d in decisions), *combinations(decisions, 2)]
    known, left = error, squared / variance
    if len(numbers) >= ENOUGH * sum(prod(space.sizes[d] - 1 for d in scope) for scope in pairs):
        error = max(known, 2 * _held_out(codes, targets, fold, space.sizes, pairs)[0] / variance - left)
    fit = Fit.of(space, codes, targets, form, penalty, float(np.sqrt(squared)))
    if trained:
        # 3. What trained networks leave is what the structure loses, without the error of scores.
        fit = calibrated(fit, form, codes, trained, left / max(left - error, left / MOST_EXACT))
    return Selection(fit, form, len(numbers), left, error, error > known, held_out)


def _held_out(
    codes: Floats, targets: Floats, fold: np.ndarray, sizes: Sequence[int], scopes: Sequence[Scope]
) -> tuple[float, float, Floats]:
    """The least mean squared error of predictions by fits without the fold, the penalty it has, and these (N,)."""
    columns = features(codes, sizes, scopes)
    predicted = np.empty((len(PENALTIES), len(targets)))
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        ridge = Ridge(columns[inside])
        weights = ridge.solve(ridge.fitted(targets[inside]), PENALTIES)
        predicted[:, outside] = targets[inside].mean() + weights @ (columns[outside] - ridge.mean).T
    squared = ((predicted - targets) ** 2).mean(axis=1)
    best = int(squared.argmin())
    return float(squared[best]), float(PENALTIES[best]), predicted[best]


def noise_share(scores: Floats, deviations: Floats) -> float:
    """The share of the variance of ranks that is noise of known standard deviation, from 0 to 1.

    With noise of variance v added once more, scores of variance s correlate with themselves by 1 / (1 + v / s) squared,
    so that v / s is known from ranks, which a long tail of bad scores does not rule.

    Args:
        scores: (N,) noisy ones.
        deviations: (N,) of their noise; NaN where it is not known, which is read as none.
    """
    noise = np.nan_to_num(deviations)
    if not noise.any() or np.ptp(scores) == 0:
        return 0.0
    rng, before = np.random.default_rng(0), ranks(scores)
    again = [np.corrcoef(before, ranks(scores + noise * rng.normal(size=len(scores))))[0, 1] for _ in range(DRAWS)]
    correlation = max(float(np.mean(again)), np.sqrt(0.5))
    return 1 / correlation**2 - 1


def deviation_of(interval: Sequence[float] | None) -> float:
    """The standard deviation that a 95 % interval says; NaN where there is none."""
    return float("nan") if interval is None else float(interval[1] - interval[0]) / (2 * float(norm.ppf(0.975)))
