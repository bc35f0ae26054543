"""CLEVER robustness scores for any torch classifier: first and second order, and with BPDA.

    import clever

    network = clever.Defended(my_network, clever.JPEG(quality=75))     # or my_network itself
    settings = clever.paper(n_batches=50, n_samples=256)
    scores = clever.score(network, images, settings)
    second = clever.score(smooth_network, images, settings, order="second_order")    # twice differentiable only
    scores.to_csv("scores.csv"), scores.to_json("scores.json"), scores.to_frame(), scores.plot()
    distances = clever.attack(network, images, targets=["top2"], norms=["L2"])  # nearest adversarial images

Images and radii are in [0,1] pixel space; `Normalize` is the first layer of a network that wants other numbers. Every
score is an estimate of a lower bound of the distance to an adversarial image, never a guarantee; the distance of an
attack is an upper bound of it, verified on the network.
"""

from clever.api import score
from clever.attacking import attack
from clever.attacks.descent import descend
from clever.backward import Smooth
from clever.bpda import BPDA, Defended
from clever.chain import Chain, Identity
from clever.compute import Compute
from clever.distance import Distance
from clever.distances import Distances
from clever.draws import Random, Seeded
from clever.ensemble import Expectation
from clever.errors import GradientMasking, InputError, NotFinite
from clever.extreme_value import end_points
from clever.gauge import Gauge
from clever.goodness import goodness_of_fit
from clever.jpeg import JPEG
from clever.lanczos import Lanczos
from clever.median import Median
from clever.models import Normalize
from clever.noise import Noise
from clever.orders import FirstOrder
from clever.quantization import PNG, BitDepth, Quantize
from clever.quilting import PatchBank, Quilting
from clever.score_result import Score
from clever.scores_table import Scores
from clever.second_order import SecondOrder
from clever.separable import Crop, GaussianBlur, ResizePad
from clever.settings import Settings, paper, reference_code
from clever.staircase import Steps
from clever.total_variation import TVMinimization

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
