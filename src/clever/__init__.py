"""CLEVER robustness scores for any torch classifier: first and second order, and with BPDA.

    import clever

    network = clever.Defended(my_network, clever.JPEG(quality=75))     # or my_network itself
    settings = clever.paper(n_batches=50, n_samples=256)
    scores = clever.score(network, images, settings)
    second = clever.score(smooth_network, images, settings, order=clever.SecondOrder())    # twice differentiable only
    scores.to_csv("scores.csv"), scores.to_json("scores.json"), scores.to_frame(), scores.plot()

Images and radii are in [0,1] pixel space; `Normalize` is the first layer of a network that wants other numbers. Every
score is an estimate of a lower bound of the distance to an adversarial image, never a guarantee.
"""

from clever.adapters import from_art, from_foolbox
from clever.backward import Smooth
from clever.bpda import BPDA, Defended
from clever.chain import Chain, Identity
from clever.compute import Compilation, Compute, Layout, Precision
from clever.curvature import Convention
from clever.descent import descend, pixelwise
from clever.draws import Random, Seeded
from clever.ensemble import Expectation, Pooling
from clever.errors import GradientMasking, InputError, NotFinite
from clever.extreme_value import EndPoint, Estimator, end_points
from clever.gauge import Gauge, minimiser
from clever.goodness import Goodness, goodness_of_fit
from clever.jpeg import JPEG, Codec
from clever.lanczos import Lanczos
from clever.median import Median
from clever.models import Normalize
from clever.noise import Noise
from clever.norms import Norm
from clever.orders import FirstOrder
from clever.power_iteration import PowerIteration
from clever.quantization import PNG, BitDepth, Quantize, Rounding
from clever.quilting import PatchBank, Quilting
from clever.sampling import Ball, Law
from clever.score import Score
from clever.scores import Scores
from clever.scoring import score
from clever.second_order import SecondOrder
from clever.separable import Crop, GaussianBlur, ResizePad
from clever.settings import Reference, Settings, paper, reference_code
from clever.staircase import Steps
from clever.targets import RandomTarget
from clever.total_variation import TVMinimization

__all__ = [
    "BPDA",
    "JPEG",
    "PNG",
    "Ball",
    "BitDepth",
    "Chain",
    "Codec",
    "Compilation",
    "Compute",
    "Convention",
    "Crop",
    "Defended",
    "EndPoint",
    "Estimator",
    "Expectation",
    "FirstOrder",
    "Gauge",
    "GaussianBlur",
    "Goodness",
    "GradientMasking",
    "Identity",
    "InputError",
    "Lanczos",
    "Law",
    "Layout",
    "Median",
    "Noise",
    "Norm",
    "Normalize",
    "NotFinite",
    "PatchBank",
    "Pooling",
    "PowerIteration",
    "Precision",
    "Quantize",
    "Quilting",
    "Random",
    "RandomTarget",
    "Reference",
    "ResizePad",
    "Rounding",
    "Score",
    "Scores",
    "SecondOrder",
    "Seeded",
    "Settings",
    "Smooth",
    "Steps",
    "TVMinimization",
    "descend",
    "end_points",
    "from_art",
    "from_foolbox",
    "goodness_of_fit",
    "minimiser",
    "paper",
    "pixelwise",
    "reference_code",
    "score",
]
