"""Prepare a face as input for the network, and convert the output back to the photo's tone and colours."""

from dataclasses import dataclass

from runtime.faces.align import AlignedFace
from runtime.faces.tone import UNCHANGED, Tone, tone_of
from runtime.network.busy_surroundings import texture_around
from runtime.network.monochrome import GREY, Toning
from runtime.pixels import Crop, Map
from runtime.settings.settings import RestoreSettings


@dataclass(frozen=True, eq=False)
class View:
    """The network's input for a face."""

    shown: Crop
    begun: Crop
    """The face with which the network begins, in its own tone, cleaned of noise and JPEG damage."""
    tone: Tone
    toning: Toning | None
    """Converts the network's colours to greys; None for a face in colour."""
    published: bool
    """Whether the crop is used unchanged, for the published pass."""
    around: Crop | None = None
    """Texture around and before the face that is kept from the network; None for nothing."""

    def restored(self, shown: Crop) -> Crop:
        """Return the network's output for the face in the crop's own tone; in grey if it is monochrome."""
        if self.around is None:
            own = self.tone.original(shown, self.begun)
        else:
            own = self.tone.original(shown, self.begun - self.around) + self.around
        return self.toning.grey(own) if self.toning else own

    @property
    def begun_in_grey(self) -> Crop:
        """Return what the network began with, S×S×3, as `restored` is: in grey if the face is monochrome."""
        return self.toning.grey(self.begun) if self.toning else self.begun


def view_of(
    face: AlignedFace,
    settings: RestoreSettings,
    *,
    grey: bool,
    cleaned: Crop | None = None,
    cover: Map | None = None,
    sharp: Map | None = None,
) -> View:
    """Return the network's input for a face: in standard tone, but unchanged for the published pass.

    grey     whether the crop is grey because the face is monochrome
    cleaned  the crop cleaned of noise and JPEG damage, with which the network is to begin
    cover    what covers the face, S×S in [0, 1]
    sharp    what is sharp before the blurred face, S×S in [0, 1]
    """
    toning = GREY if grey else None
    if settings.latent_step_decay == 1:
        return View(face.crop, face.crop, UNCHANGED, toning, published=True)
    tone = tone_of(face, grey=grey)
    begun = face.crop if cleaned is None else cleaned
    around = texture_around(face, cover, sharp)
    shown = tone.standard(begun if around is None else begun - around)
    return View(shown, begun, tone, toning, published=False, around=around)


def published_view(crop: Crop, toning: Toning) -> View:
    """Return the published pass's input for a toned face: the crop in its colours."""
    return View(crop, crop, UNCHANGED, toning, published=True)
