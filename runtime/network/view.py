"""What the network is shown of a face, and the way back into the photo's own tone and colours."""

from dataclasses import dataclass

from runtime.faces.align import AlignedFace
from runtime.network.monochrome import GREY, Toning
from runtime.network.tone import UNCHANGED, Tone, tone_of
from runtime.pixels import Crop
from runtime.settings.settings import RestoreSettings


@dataclass(frozen=True, eq=False)
class View:
    """A face as the network sees it."""

    shown: Crop
    crop: Crop
    """The same before its tone was brought to the standard."""
    tone: Tone
    toning: Toning | None
    """How the network's colours are read as greys; None for a face in colour."""
    published: bool
    """It is the crop as it is, for the published pass."""

    def restored(self, shown: Crop) -> Crop:
        """Return what the network made of the face in the crop's own tone; in grey, if it is monochrome."""
        own = self.tone.original(shown, self.crop)
        return self.toning.grey(own) if self.toning else own


def view_of(face: AlignedFace, settings: RestoreSettings, *, grey: bool) -> View:
    """Return how a face is shown to the network: in standard tone, but to the published pass as it is.

    grey  its crop is grey: the face is monochrome
    """
    toning = GREY if grey else None
    if settings.latent_step_decay == 1:
        return View(face.crop, face.crop, UNCHANGED, toning, published=True)
    tone = tone_of(face, grey=grey)
    return View(tone.standard(face.crop), face.crop, tone, toning, published=False)


def published_view(crop: Crop, toning: Toning) -> View:
    """Return how the published pass sees a toned face: in its colours."""
    return View(crop, crop, UNCHANGED, toning, published=True)
