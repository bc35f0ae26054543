"""CLEVER robustness scores for any torch classifier: first order, second order, and with BPDA.

    import clever

    network = clever.Defended(my_network, clever.JPEG(quality=75))     # or my_network itself
    settings = clever.paper(n_batches=50, n_samples=256)
    scores = clever.score(network, images, settings)
    second = clever.score(smooth_network, images, settings, order="second_order")  # twice differentiable networks
    scores.to_csv("scores.csv"), scores.to_json("scores.json"), scores.to_frame(), scores.plot()
    distances = clever.attack(network, images, targets=["top2"], norms=["L2"])  # nearest adversarial images

Images and radii are in [0,1] pixel space; for a network with a different input range, make `Normalize` its first layer.
A score estimates a lower bound on the adversarial distance and guarantees nothing; an attack's distance is an upper
bound, verified on the network.
"""

from clever.api.attack import attack
from clever.api.score import score
from clever.attacks.descent import descend
from clever.bounds.first_order import FirstOrder
from clever.bounds.gauge.order import Gauge
from clever.bounds.lanczos import Lanczos
from clever.bounds.second_order import SecondOrder
from clever.classifier.compute import Compute
from clever.classifier.wrappers import Normalize
from clever.defenses.bpda import BPDA, Defended
from clever.defenses.chain import Chain, Identity
from clever.defenses.expectation import Expectation
from clever.defenses.jpeg.defense import JPEG
from clever.defenses.linear import Crop, GaussianBlur, ResizePad
from clever.defenses.median import Median
from clever.defenses.noise import Noise
from clever.defenses.quantization import PNG, BitDepth, Quantize
from clever.defenses.quilting import PatchBank, Quilting
from clever.defenses.random import Random, Seeded
from clever.defenses.smooth_surrogate import Smooth
from clever.defenses.staircase import Steps
from clever.defenses.total_variation import TVMinimization
from clever.errors import GradientMasking, InputError, NotFinite
from clever.extreme_value.estimators import end_points
from clever.extreme_value.goodness import goodness_of_fit
from clever.results.distance import Distance
from clever.results.distances import Distances
from clever.results.score import Score
from clever.results.scores import Scores
from clever.settings import Settings, paper, reference_code

__all__ = [
    "BPDA",
    "JPEG",
    "PNG",
    "BitDepth",
    "Chain",
    "Compute",
    "Crop",
    "Defended",
    "Distance",
    "Distances",
    "Expectation",
    "FirstOrder",
    "Gauge",
    "GaussianBlur",
    "GradientMasking",
    "Identity",
    "InputError",
    "Lanczos",
    "Median",
    "Noise",
    "Normalize",
    "NotFinite",
    "PatchBank",
    "Quantize",
    "Quilting",
    "Random",
    "ResizePad",
    "Score",
    "Scores",
    "SecondOrder",
    "Seeded",
    "Settings",
    "Smooth",
    "Steps",
    "TVMinimization",
    "attack",
    "descend",
    "end_points",
    "goodness_of_fit",
    "paper",
    "reference_code",
    "score",
]
