"""The attacks that come from foolbox: minimum norm ones, and that of Carlini and Wagner."""

import warnings

from clever.norms import Norm
from pipeline.attack.refine import Nearest, further, shrink

with warnings.catch_warnings():  # foolbox 3.3.4 calls one of scipy's functions by its old name
    warnings.filterwarnings("ignore", "Please import `gaussian_filter`", DeprecationWarning)
    from foolbox.attacks.base import MinimizationAttack
    from foolbox.attacks.carlini_wagner import L2CarliniWagnerAttack
    from foolbox.attacks.ddn import DDNAttack
    from foolbox.attacks.fast_minimum_norm import L1FMNAttack, LInfFMNAttack
    from foolbox.criteria import TargetedMisclassification
    from foolbox.models.pytorch import PyTorchModel


def minimum_norm(run: Nearest, steps: int, scale: float) -> None:
    """The attack for the norm of this run, DDN (Rony et al. 2019) for L2, FMN (Pintor et al. 2021) for L1 and Linf, and
    its projections."""
    # Not L2FMNAttack: the projection of foolbox 3.3.4 divides a norm by itself, so there is none.
    if run.norm is Norm.L2:
        attack: MinimizationAttack = DDNAttack(steps=steps, init_epsilon=scale, gamma=0.1)
    else:
        fast = L1FMNAttack if run.norm is Norm.L1 else LInfFMNAttack
        attack = fast(steps=steps, max_stepsize=scale, gamma=0.1)
    _run(attack, run)
    shrink(run)


def carlini_wagner(run: Nearest, steps: int, weights: int) -> None:
    """That of Carlini and Wagner (2017) for L2: ``steps`` of Adam for each weight of the margin that is tried."""
    _run(L2CarliniWagnerAttack(weights, steps), run)


def _run(attack: MinimizationAttack, run: Nearest) -> None:
    """Offers what the attack finds."""
    victim = PyTorchModel(run.network, bounds=(0, 1), device=run.originals.device)
    found = attack.run(victim, run.originals, TargetedMisclassification(run.targets))
    run.offer(found)
    if run.jury:
        further(run, found)
