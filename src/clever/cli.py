"""The command ``clever-score``: CLEVER scores of the images in a folder."""

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from jaxtyping import Float
from torch import Tensor, nn

from clever.api.score import NORMS, TARGETS, score
from clever.classifier.wrappers import frozen
from clever.errors import InputError
from clever.inputs.files import image_paths, open_images, require_parent_folder, write_text
from clever.inputs.images import image_batch
from clever.norms import Norm
from clever.results.record import versions
from clever.results.scores import Scores
from clever.settings import paper

BAD_INPUT = 2
INTERRUPTED = 130
ORDERS = {"first": "first_order", "second": "second_order"}
FORMATS: dict[str, Callable[[Scores], str]] = {
    "table": lambda scores: f"{scores!r}\n",
    "csv": lambda scores: scores.to_csv(),
    "json": lambda scores: scores.to_json(),
}
ABOUT = (
    "Compute CLEVER scores for every image in a folder. A score is an estimated lower bound on the distance, in "
    "[0,1]-pixel units, to the nearest adversarial image. Exit codes: 0, success; 2, invalid input; 130, interrupted."
)
MODEL = (
    "a torch.nn.Module that maps images in [0,1] to logits, such as clever.Defended(network, clever.JPEG(75)), or a "
    "function that takes no arguments and returns one; MODULE may be in the current folder"
)
RADIUS = "L1=30,L2=3,Linf=0.1"
"""The L2 radius is that of the authors' code; the others are of a similar scale."""
TARGETS_HELP = (
    "comma-separated: top2 (runner-up class), random, least (least likely class), untargeted (every class) or class "
    "numbers; default %(default)s"
)


class Parser(argparse.ArgumentParser):
    """Raises `InputError` where argparse would exit."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see clever-score --help for all options")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, by default ``sys.argv[1:]``; returns the exit code."""
    try:
        arguments = _parser().parse_args(argv)
        require_parent_folder(arguments.output)
        unwritten = write_text(arguments.output, FORMATS[arguments.format](_scores(arguments)))
    except InputError as error:
        sys.stderr.write(f"clever-score: error: {error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("clever-score: interrupted\n")
        return INTERRUPTED
    sys.stdout.write(unwritten or "")
    return 0


def _parser() -> Parser:
    parser = Parser("clever-score", description=ABOUT)
    add = parser.add_argument
    add("--version", action="version", version=", ".join(f"{name} {number}" for name, number in versions().items()))
    add("--model", required=True, metavar="MODULE:NAME", help=MODEL)
    add("--images", required=True, metavar="DIR", help="a folder of images, searched recursively")
    add("--size", type=int, metavar="N", help="scale the shorter side to N pixels and crop the central square")
    add("--grey", action="store_true", help="read images as greyscale, with one channel instead of three")
    add("--targets", default=",".join(map(str, TARGETS)), help=TARGETS_HELP)
    add("--norms", default=",".join(NORMS), help="comma-separated: L1, L2, Linf; default %(default)s")
    add(
        "--order",
        choices=ORDERS,
        default="first",
        help="second needs a twice differentiable network; default %(default)s",
    )
    add(
        "--radius",
        default=RADIUS,
        help="radius R of each norm's ball, or one number for all norms; default %(default)s",
    )
    add("--n-batches", type=int, default=500, metavar="N_B", help="number of batches; default %(default)s")
    add("--n-samples", type=int, default=1024, metavar="N_S", help="points per batch; default %(default)s")
    add("--seed", type=int, default=1215, help="random seed for the points; default %(default)s")
    add("--device", default="cpu", help="torch device, such as cuda; default %(default)s")
    add("--format", choices=FORMATS, default="table", help="output format; default %(default)s")
    add("--output", metavar="FILE", help="write to FILE instead of standard output")
    add("--quiet", action="store_true", help="hide the progress bar")
    return parser


def _scores(arguments: argparse.Namespace) -> Scores:
    radius = _radius(arguments.radius)
    settings = paper(n_batches=arguments.n_batches, n_samples=arguments.n_samples, radius=radius, seed=arguments.seed)
    if arguments.size is not None and arguments.size < 1:
        raise InputError(f"--size is {arguments.size}: it must be a whole number of at least 1")
    paths = image_paths(arguments.images)
    network = _to_device(_load_network(arguments.model), arguments.device)
    images = image_batch(open_images(paths, "L" if arguments.grey else "RGB", arguments.size), network).images
    _check_forward(network, images[:1])
    return score(
        network,
        images,
        settings,
        targets=[int(word) if word.isdecimal() else word for word in arguments.targets.split(",")],
        norms=arguments.norms.split(","),
        order=ORDERS[arguments.order],
        names=[path.relative_to(arguments.images).as_posix() for path in paths],
        progress=not arguments.quiet,
    )


def _radius(text: str) -> dict[str, float]:
    """R of each norm, from a text such as "L2=3,Linf=0.1" or one number."""
    try:
        if "=" not in text:
            return dict.fromkeys(map(str, Norm), float(text))
        pairs = [pair.partition("=") for pair in text.split(",")]
        return {norm: float(number) for norm, _, number in pairs}
    except ValueError as error:
        raise InputError(
            f"--radius is {text!r}: it must be a number, or one for each norm, such as {RADIUS}"
        ) from error


def _load_network(name: str) -> nn.Module:
    """The network at ``module:name``, or the one that the function there returns; its exceptions pass through."""
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise InputError(f"--model is {name!r}: it must be MODULE:NAME, such as my_networks:load")
    if "" not in sys.path:
        sys.path.insert(0, "")  # an installed program does not import from the current folder
    try:
        imported: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(f"--model {name}: {error}; name a module that is installed or in this folder") from error
    if not hasattr(imported, attribute):
        valid = ", ".join(sorted(key for key, value in vars(imported).items() if callable(value) and key[0] != "_"))
        raise InputError(f"--model {name}: {module} has no {attribute}; it has {valid or 'nothing callable'}")
    network = getattr(imported, attribute)
    network = network() if callable(network) and not isinstance(network, nn.Module) else network
    if not isinstance(network, nn.Module):
        got = type(network).__name__
        raise InputError(f"--model {name} is of type {got}: it must be a torch.nn.Module or a function returning one")
    return network


def _check_forward(network: nn.Module, image: Float[Tensor, "1 channel height width"]) -> None:
    """`InputError` if the network fails on an image of this shape."""
    try:
        with frozen(network), torch.no_grad():
            network(image)
    except RuntimeError as error:
        channels, height, width = image.shape[1:]
        raise InputError(
            f"the network fails on an image of {width} x {height} pixels and {channels} channel(s): "
            f"{str(error).splitlines()[0]}; --size N scales images, --grey converts them to one channel"
        ) from error


def _to_device(network: nn.Module, device: str) -> nn.Module:
    try:
        return network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {device} cannot be used: {str(error).splitlines()[0]}") from error
