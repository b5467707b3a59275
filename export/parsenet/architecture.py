"""ParseNet as a kind of network for the exporter."""

from functools import partial

from torch import Tensor

from export.architecture import Architecture
from export.parsenet.layout import TENSOR_NAMES, ParsingLayout, read_parsing_layout
from export.parsenet.network import ParseNet, class_scores, fold
from export.parsing_network import ParsingNetwork

PUBLISHED_LICENCE = (
    "unknown; the published ParseNet weights come from PSFRGAN (CC BY-NC-SA 4.0), trained on CelebAMask-HQ "
    "(non-commercial research only)"
)


def parsenet(layout: ParsingLayout, state: dict[str, Tensor]) -> ParsingNetwork:
    """Return the network of a checkpoint's tensors."""
    network = ParseNet.from_state(layout, state)
    return ParsingNetwork(
        size=layout.size,
        licence=PUBLISHED_LICENCE,
        published=network,
        constant=lambda: partial(class_scores, fold(network)),
    )


PARSENET = Architecture("parsenet", "ParseNet", TENSOR_NAMES, read_parsing_layout, parsenet)
