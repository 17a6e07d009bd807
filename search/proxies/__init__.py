"""Zero-cost scores: what untrained networks tell about how well they will do."""

from search.proxies.az_nas import az_expressivity, az_progressivity, az_trainability
from search.proxies.gradients import fisher, grad_norm, grasp, plain, snip, synflow, zico
from search.proxies.responses import epe_nas, jacov, nwot, zen
from search.proxies.score import Sample, ZeroCostScore
from search.proxies.weights import flops, l2_norm, live_flops, live_params, params

__all__ = ["SCORES", "Sample", "ZeroCostScore"]

_SURVEY = "Abdelfattah et al. 2021"
_FORWARD, _BACKWARD = "a forward pass", "a forward and a backward pass"

SCORES: dict[str, ZeroCostScore] = {
    "params": ZeroCostScore(params, "a baseline", "counting"),
    "flops": ZeroCostScore(flops, "a baseline", "counting"),
    "live_params": ZeroCostScore(live_params, "a baseline", "counting"),
    "live_flops": ZeroCostScore(live_flops, "a baseline", "counting"),
    "l2_norm": ZeroCostScore(l2_norm, _SURVEY, "a pass over the weights"),
    "grad_norm": ZeroCostScore(grad_norm, _SURVEY, _BACKWARD, labels=True),
    "plain": ZeroCostScore(plain, "Mozer and Smolensky 1989", _BACKWARD, labels=True),
    "snip": ZeroCostScore(snip, "Lee et al. 2019", _BACKWARD, labels=True),
    "grasp": ZeroCostScore(grasp, "Wang et al. 2020", "a forward and two backward passes", labels=True),
    "fisher": ZeroCostScore(fisher, "Turner et al. 2020", _BACKWARD, labels=True),
    "synflow": ZeroCostScore(synflow, "Tanaka et al. 2020", f"{_BACKWARD} of one image, in double precision"),
    "jacov": ZeroCostScore(jacov, "Mellor et al. 2020", _BACKWARD),
    "epe_nas": ZeroCostScore(epe_nas, "Lopes et al. 2021", _BACKWARD, labels=True),
    "nwot": ZeroCostScore(nwot, "Mellor et al. 2021", _FORWARD),
    "zen": ZeroCostScore(zen, "Lin et al. 2021", "two forward passes"),
    "zico": ZeroCostScore(zico, "Li et al. 2023", "two forward and backward passes of half a batch", labels=True),
    "az_expressivity": ZeroCostScore(az_expressivity, "Lee and Ham 2024", _FORWARD),
    "az_progressivity": ZeroCostScore(az_progressivity, "Lee and Ham 2024", _FORWARD),
    "az_trainability": ZeroCostScore(az_trainability, "Lee and Ham 2024", "a forward pass and one backward per cell"),
}
"""Name -> score. A further one is a function of a network and a sample, entered here."""
