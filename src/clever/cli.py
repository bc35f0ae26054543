"""The command clever-score: scores of the pictures in a folder, for those who do not write Python."""

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
from clever.inputs.files import in_a_folder, opened, pictures, write_text
from clever.inputs.images import batch_of
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
    "CLEVER scores of every picture in a folder: estimates of a lower bound of the distance, in [0,1]-pixel units, to "
    "an image that the network takes for another class. Exit code 0; 2 for input that cannot be used; 130 when "
    "interrupted."
)
MODEL = (
    "a torch.nn.Module from images in [0,1] to logits, or a function without arguments that makes one, such as "
    "clever.Defended(network, clever.JPEG(75)); modules of the current folder are found"
)
RADIUS = "L1=30,L2=3,Linf=0.1"
"""The authors' code has an L2 ball of this radius; the others are of about the same use in images."""
NAMED = "comma-separated: top2, random, least, untargeted or class numbers; default %(default)s"


class Parser(argparse.ArgumentParser):
    """What argparse refuses is bad input as any other."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; clever-score --help names all options")


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command line ``words``, by default the program's own; its exit code."""
    try:
        arguments = _parser().parse_args(words)
        in_a_folder(arguments.output)
        shown = write_text(arguments.output, FORMATS[arguments.format](_scores(arguments)))
    except InputError as error:
        sys.stderr.write(f"clever-score: error: {error}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("clever-score: interrupted\n")
        return INTERRUPTED
    sys.stdout.write(shown or "")
    return 0


def _parser() -> Parser:
    parser = Parser("clever-score", description=ABOUT)
    add = parser.add_argument
    add("--version", action="version", version=", ".join(f"{name} {number}" for name, number in versions().items()))
    add("--model", required=True, metavar="MODULE:NAME", help=MODEL)
    add("--images", required=True, metavar="DIR", help="a folder of pictures, which may be in folders of it")
    add("--size", type=int, metavar="N", help="scale the shorter side to N pixels and cut out the centre square")
    add("--grey", action="store_true", help="one channel instead of three")
    add("--targets", default=",".join(map(str, TARGETS)), help=NAMED)
    add("--norms", default=",".join(NORMS), help="comma-separated: L1, L2, Linf; default %(default)s")
    add(
        "--order",
        choices=ORDERS,
        default="first",
        help="second: for twice differentiable networks; default %(default)s",
    )
    add("--radius", default=RADIUS, help="R of the ball of each norm, or one number for all; default %(default)s")
    add("--n-batches", type=int, default=500, metavar="N_B", help="batches of points; default %(default)s")
    add("--n-samples", type=int, default=1024, metavar="N_S", help="points a batch; default %(default)s")
    add("--seed", type=int, default=1215, help="of the points; default %(default)s")
    add("--device", default="cpu", help="such as cuda; default %(default)s")
    add("--format", choices=FORMATS, default="table", help="of what is written; default %(default)s")
    add("--output", metavar="FILE", help="write there, not to the terminal")
    add("--quiet", action="store_true", help="no bar of progress")
    return parser


def _scores(arguments: argparse.Namespace) -> Scores:
    radius = _radius(arguments.radius)
    settings = paper(n_batches=arguments.n_batches, n_samples=arguments.n_samples, radius=radius, seed=arguments.seed)
    if arguments.size is not None and arguments.size < 1:
        raise InputError(f"--size is {arguments.size}: it must be a whole number from 1 up")
    paths = pictures(arguments.images)
    network = _on(_named(arguments.model), arguments.device)
    images = batch_of(opened(paths, "L" if arguments.grey else "RGB", arguments.size), network).images
    _try(network, images[:1])
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


def _radius(words: str) -> dict[str, float]:
    """R of each norm, from L2=3,Linf=0.1 or one number."""
    try:
        if "=" not in words:
            return dict.fromkeys(map(str, Norm), float(words))
        pairs = [word.partition("=") for word in words.split(",")]
        return {norm: float(number) for norm, _, number in pairs}
    except ValueError as error:
        raise InputError(
            f"--radius is {words!r}: it must be a number, or one for each norm, such as {RADIUS}"
        ) from error


def _named(name: str) -> nn.Module:
    """The network that ``module:name`` is or makes. An error within the function is the user's to see, whole."""
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise InputError(f"--model is {name!r}: it must be MODULE:NAME, such as my_networks:load")
    if "" not in sys.path:
        sys.path.insert(0, "")  # a program that was installed does not look into the current folder
    try:
        found: Any = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(f"--model {name}: {error}; name a module that is installed or in this folder") from error
    if not hasattr(found, attribute):
        there = ", ".join(sorted(known for known, value in vars(found).items() if callable(value) and known[0] != "_"))
        raise InputError(f"--model {name}: {module} has no {attribute}; it has {there or 'nothing to call'}")
    network = getattr(found, attribute)
    network = network() if callable(network) and not isinstance(network, nn.Module) else network
    if not isinstance(network, nn.Module):
        raise InputError(f"--model {name} gives a {type(network).__name__}: it must be or make a torch.nn.Module")
    return network


def _try(network: nn.Module, image: Float[Tensor, "1 channel height width"]) -> None:
    """`InputError` where the network does not take a picture like this."""
    try:
        with frozen(network), torch.no_grad():
            network(image)
    except RuntimeError as error:
        channels, height, width = image.shape[1:]
        raise InputError(
            f"the network takes no picture of {width} x {height} pixels and {channels} channel(s): "
            f"{str(error).splitlines()[0]}; --size N scales pictures, --grey makes one channel of three"
        ) from error


def _on(network: nn.Module, device: str) -> nn.Module:
    try:
        return network.to(device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"--device {device} cannot be used: {str(error).splitlines()[0]}") from error
