"""A photo that is prepared once and restored whenever its settings change."""

import hashlib
import threading
from collections.abc import Callable, Hashable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from base.errors import GpenEdgeError
from base.parallel import for_each, parallel
from engines.package import Template
from runtime.chosen_faces import ChosenFaces, Judge, choose_faces
from runtime.face_warnings import face_warnings, not_parsed
from runtime.face_work import CutFace, FaceWork, SeenFace, see
from runtime.faces.align import AlignedFace, align, face_rectangle, inverted
from runtime.faces.face import Face
from runtime.faces.mesh import FaceMesh
from runtime.faces.mesh_network import placed
from runtime.faces.regions import region_weights
from runtime.finish.canvas import enlarged
from runtime.finish.paste import paste_all
from runtime.finish.patch import Patch
from runtime.finish.rounding import keep_rounding
from runtime.finish.scratches import mended_face
from runtime.identity import Identity, KnownFace, know, share_map, within_bounds
from runtime.network.eyes import fits
from runtime.network.loop import LoopResult, restore_crops
from runtime.network.monochrome import all_in_grey, colour, find_tonings, in_grey, put_back, toning_of_photo
from runtime.network.most_passes import most_passes
from runtime.network.schedule import pass_schedule, progress
from runtime.photo.array_check import check_pixels
from runtime.pixels import Crop, Map, Pixels, eight_bit
from runtime.rest.clean_faces import Cleaning, cleaned, damage_of
from runtime.rest.enhance import enhanced, restores_rest
from runtime.rest.explained import Explained
from runtime.rest.matching import match_noise, of_restored
from runtime.rest.scratches import without_scratches
from runtime.rest.tones import with_restored_tones
from runtime.result import FaceResult, RestoreResult
from runtime.settings.face_rules import read_rules
from runtime.settings.per_face import ByFace, check_by_face, in_common_batches, loop_settings
from runtime.settings.settings import RestoreSettings
from runtime.timing import Progress, StageClock

if TYPE_CHECKING:
    from runtime.restorer import Restorer

MOST_ANSWERS = 6
"""Number of outputs that are cached for each face, so that moving a slider does not fill the memory."""

Done = TypeVar("Done")
_Wanted = Mapping[int, RestoreSettings]
"""The faces to restore, by index, each with its settings."""
_Works = tuple[dict[int, FaceWork], Mapping[int, str]]


class PreparedPhoto:
    """A photo whose faces are detected, cut out, parsed, measured and passed through the network.

    Intermediate results are cached, and computed again only if a setting that they depend on changes. The
    template affects all of them; scratches, holes and `degradation_scale` affect the network's input. Other
    settings do not rerun a network that takes a single pass (`held` loops, one full pass). With several
    passes, these depend on η, N and ρ, and are run again from the crop on. The networks keep no state
    between calls, so other photos may be restored in the meantime.

    It may be used by several threads, which take turns until everything that their settings need is computed.
    """

    def __init__(self, restorer: "Restorer", photo: Pixels, found: tuple[Face, ...] | None = None) -> None:
        """Keep a photo, H×W×3 uint8 or uint16 RGB, which must not be changed while this is used.

        found  its faces, if they have already been detected

        Raises PixelsError.
        """
        check_pixels(photo)
        self._restorer, self._photo, self._found = restorer, photo, found
        self._turn = threading.Lock()
        self._closed = False
        self._cuts: dict[tuple[Template, int], CutFace] = {}
        self._greys: dict[tuple[Template, tuple[int, ...]], Pixels] = {}
        self._mended: dict[Hashable, tuple[AlignedFace, Patch | None]] = {}
        self._cleanings: dict[Hashable, Cleaning | None] = {}
        self._damage: Explained | None = None
        self._seen: dict[Hashable, SeenFace] = {}
        self._answers: dict[Hashable, LoopResult] = {}
        self._eyes: dict[Hashable, tuple[SeenFace, LoopResult, LoopResult]] = {}
        self._restored: dict[Hashable, tuple[SeenFace, Crop, tuple[Crop, Crop, float]]] = {}
        self._known: dict[int, KnownFace] = {}

    @property
    def faces(self) -> tuple[Face, ...]:
        """The photo's faces, the largest first."""
        with self._turn:
            return self._faces(StageClock())

    def restore(
        self,
        settings: RestoreSettings | None = None,
        by_face: ByFace | None = None,
        *,
        identify: bool = False,
        progress: Progress | None = None,
    ) -> RestoreResult:
        """Restore the photo's faces; see `Restorer.restore`."""
        settings, by_face, clock = settings or RestoreSettings(), by_face or {}, StageClock(progress)
        works, notes = self._works(settings, by_face, clock)
        pasted = self._pasted(works, settings, clock)
        identities: dict[int, Identity] = {}
        measured = {i: work for i, work in works.items() if identify or work.settings.same_person is not None}
        if measured:
            with clock.stage("identity", len(measured)):
                paste = partial(self._pasted, works, settings, clock)
                known, recogniser = self._know(measured), self._restorer.recogniser
                pasted, identities = within_bounds(recogniser, measured, known, pasted, paste)
        assert self._found is not None
        if settings.restore_tones:
            pasted = with_restored_tones(pasted, self._photo, self._found)
        found = self._found

        def result(i: int) -> FaceResult:
            return self._face_result(found[i], works.get(i), settings, identities.get(i), notes.get(i, ""))

        faces = tuple(parallel(result, range(len(found))))
        return RestoreResult(pasted, faces, clock.timings, settings)

    def prepare(
        self,
        settings: RestoreSettings | None = None,
        by_face: ByFace | None = None,
        *,
        progress: Progress | None = None,
    ) -> None:
        """Compute everything that restoring with these settings needs, except for pasting."""
        self._works(settings or RestoreSettings(), by_face or {}, StageClock(progress))

    def close(self) -> None:
        """Release the memory; the photo can no longer be restored."""
        with self._turn:
            self._closed = True
            for kept in (self._cuts, self._greys, self._mended, self._cleanings, self._seen):
                kept.clear()
            for made in (self._answers, self._eyes, self._restored, self._known):
                made.clear()

    def __enter__(self) -> "PreparedPhoto":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _works(self, settings: RestoreSettings, by_face: ByFace, clock: StageClock) -> _Works:
        """Return the faces to restore, each with the network's output, and the notes of the rules on
        faces."""
        check_by_face(settings, by_face)
        with self._turn:
            if self._closed:
                raise GpenEdgeError("the prepared photo is closed: prepare it again")
            found = self._faces(clock)
            chosen = self._choose(settings, by_face, clock)
            wanted = chosen.settings
            manifest = self._restorer.package.manifest
            template = settings.template or manifest.template
            cuts = self._cut(found, wanted, template, clock)
            with clock.stage("regions", len(wanted)):
                for_each(wanted, lambda i: cuts[i].missing)
                rho = for_each(wanted, lambda i: region_weights(cuts[i].aligned, wanted[i].face_mask_weights))
            seen = self._see(cuts, wanted, template, clock)
            with clock.stage("network", len(wanted)) as done:
                loops = self._ask(seen, rho, wanted, done)
                if fits(manifest, template):
                    loops = self._with_new_eyes(seen, loops, wanted)
                restored = self._in_own_tone(seen, loops)
        works = {i: FaceWork(seen[i], wanted[i], rho[i], loops[i], *restored[i]) for i in wanted}
        return works, chosen.notes

    def _faces(self, clock: StageClock) -> tuple[Face, ...]:
        if self._found is None:
            with clock.stage("detect"):
                self._found = self._restorer.detector.detect(eight_bit(self._photo))
        return self._found

    def _cut(
        self, found: tuple[Face, ...], wanted: _Wanted, template: Template, clock: StageClock
    ) -> dict[int, CutFace]:
        """Return the faces cut out of the photo, with their meshes, and parsed."""
        size, parser = self._restorer.package.manifest.size, self._restorer.parser
        new = [i for i in wanted if (template, i) not in self._cuts]
        with clock.stage("mesh", len(new)) as done:
            meshes = {}
            with closing(parallel(lambda i: self._mesh(found[i]), new)) as made:
                for i, mesh in zip(new, made, strict=True):
                    meshes[i] = mesh
                    done(1)
        with clock.stage("align", len(new)):
            aligned = for_each(new, lambda i: self._aligned(found[i], meshes[i], size, template))
        if parser:
            with clock.stage("parsing", len(new)) as done:
                for i in new:
                    aligned[i] = replace(aligned[i], parsed=parser.parse(aligned[i]))
                    done(1)
        with clock.stage("tone", len(new)):
            tonings = find_tonings(self._photo, aligned)
        for i, face in aligned.items():
            others = found[:i] + found[i + 1 :]
            recognised = face.mesh is not None or not self._restorer.meshes
            self._cuts[template, i] = CutFace(face, others, tonings.get(i), recognised)
        return {i: self._cuts[template, i] for i in wanted}

    def _mesh(self, face: Face) -> FaceMesh | None:
        """Return the mesh of a face, in photo pixels."""
        finder = self._restorer.meshes
        return finder.find(self._photo, face.landmarks) if finder else None

    def _aligned(self, face: Face, mesh: FaceMesh | None, size: int, template: Template) -> AlignedFace:
        """Return a face cut out of the photo, by its mesh if that is more precise."""
        aligned = align(self._photo, placed(face, mesh), size, template)
        return replace(aligned, mesh=mesh.moved(inverted(aligned.to_photo))) if mesh else aligned

    def _see(
        self, cuts: dict[int, CutFace], wanted: _Wanted, template: Template, clock: StageClock
    ) -> dict[int, SeenFace]:
        """Return the faces as the network should see them."""
        photo, toned = self._in_grey(cuts, template)
        keys = {
            i: (template, toned, i, own.soften_scratches, own.fill_missing, own.latent_step_decay == 1)
            for i, own in wanted.items()
        }
        scratched = {i: (template, toned, i) for i in wanted if wanted[i].soften_scratches}
        mended: dict[int, tuple[AlignedFace, Patch | None]] = {}
        if scratched:
            with clock.stage("scratches", len(scratched)):
                mended = _kept(self._mended, scratched, lambda i: _mended(photo, cuts[i]))
        cleanings = self._cleaned(photo, (template, toned), cuts, wanted, clock)
        return _kept(
            self._seen, keys, lambda i: see(cuts[i], photo, wanted[i], mended.get(i), cleanings.get(i))
        )

    def _cleaned(
        self,
        photo: Pixels,
        key: Hashable,
        cuts: Mapping[int, CutFace],
        wanted: _Wanted,
        clock: StageClock,
    ) -> dict[int, Cleaning]:
        """Return the cleanings of the crops, if the network may begin with cleaned crops."""
        if self._restorer.package.manifest.loop_kind != "renewed":
            return {}
        begun = [i for i, own in wanted.items() if own.latent_step_decay < 1]
        new = [i for i in begun if (key, i) not in self._cleanings]
        if new:
            with clock.stage("clean", len(new)):
                self._damage = self._damage or damage_of(self._photo, [cuts[i].aligned for i in new])
                faces = {i: cuts[i].own for i in new}
                changes = cleaned(photo, faces, self._restorer.photo_network, self._damage)
                self._cleanings |= {(key, i): changes.get(i) for i in new}
        return {i: change for i in begun if (change := self._cleanings[key, i]) is not None}

    def _in_grey(self, cuts: Mapping[int, CutFace], template: Template) -> tuple[Pixels, tuple[int, ...]]:
        """Return the photo with its monochrome faces in grey, and the indices of those that were not."""
        tonings = {i: cut.toning for i, cut in cuts.items() if cut.toning}
        toned = tuple(i for i, toning in tonings.items() if not toning.is_grey)
        if (template, toned) not in self._greys:
            faces = {i: cut.aligned for i, cut in cuts.items()}
            self._greys[template, toned] = in_grey(self._photo, faces, tonings)
        return self._greys[template, toned], toned

    def _ask(
        self,
        seen: Mapping[int, SeenFace],
        rho: Mapping[int, Map],
        wanted: _Wanted,
        done: Callable[[int], None],
    ) -> dict[int, LoopResult]:
        """Return the network's output for each face; it is run for those whose output is not cached."""
        most = {i: self._most_passes(seen[i].cut) for i in wanted}
        keys = for_each(wanted, lambda i: self._question(seen[i].view.shown, rho[i], wanted[i], most[i]))
        loops = {i: self._answers[key] for i, key in keys.items() if key in self._answers}
        backend, new = self._restorer.backend, {i: own for i, own in wanted.items() if i not in loops}
        for group in in_common_batches(new, most):
            crops = np.stack([seen[i].view.shown for i in group])
            weights = np.stack([rho[i] for i in group])
            first = group[0]
            results = restore_crops(backend, crops, weights, wanted[first], most=most[first], done=done)
            loops |= zip(group, results, strict=True)
        self._answers |= {keys[i]: loops[i] for i in wanted if not loops[i].over_budget}
        _forget_oldest(self._answers, MOST_ANSWERS * len(self._found or ()))
        return {
            i: replace(loops[i], steps=own.iterations) if _looks_once(own, most[i]) else loops[i]
            for i, own in wanted.items()
        }

    def _with_new_eyes(
        self, seen: Mapping[int, SeenFace], loops: Mapping[int, LoopResult], wanted: _Wanted
    ) -> dict[int, LoopResult]:
        """Return the network's outputs, with new eyes for the faces that need them.

        They are cached as by `_in_own_tone`.
        """

        def made(i: int) -> tuple[SeenFace, LoopResult, LoopResult]:
            return seen[i], loops[i], seen[i].with_new_eyes(loops[i], wanted[i].eyes)

        keys = {i: (id(seen[i]), id(loops[i].restored), own.eyes) for i, own in wanted.items()}
        drawn = _kept(self._eyes, keys, made)
        _forget_oldest(self._eyes, MOST_ANSWERS * len(self._found or ()))
        return {
            i: replace(loops[i], restored=new.restored, new_eyes=new.new_eyes)
            for i, (_, _, new) in drawn.items()
        }

    def _in_own_tone(
        self, seen: Mapping[int, SeenFace], loops: Mapping[int, LoopResult]
    ) -> dict[int, tuple[Crop, Crop, float]]:
        """Return the result of `in_own_tone` for each face.

        It is cached with its source, so that no other object can get the source's identity.
        """

        def made(i: int) -> tuple[SeenFace, Crop, tuple[Crop, Crop, float]]:
            return seen[i], loops[i].restored, seen[i].in_own_tone(loops[i].restored)

        kept = _kept(self._restored, {i: (id(seen[i]), id(loops[i].restored)) for i in seen}, made)
        _forget_oldest(self._restored, MOST_ANSWERS * len(self._found or ()))
        return {i: own for i, (_, _, own) in kept.items()}

    def _question(
        self, shown: NDArray[np.float32], rho: Map, settings: RestoreSettings, most: int
    ) -> Hashable:
        """Return everything that the network's output depends on; equal questions give the same output."""
        crop = _digest(shown)
        if _looks_once(settings, most):  # its output is that of one full pass, however much is handed back
            return crop, loop_settings(settings, latent_step_decay=1.0, iterations=1)
        return crop, loop_settings(settings), _digest(rho), most

    def _most_passes(self, cut: CutFace) -> int:
        """Return the largest number of the loop's passes for a face."""
        own = self._restorer.most_passes
        if self._restorer.package.manifest.loop_kind != "renewed":
            return own
        cover = cut.missing.cover if cut.missing else None
        return min(
            own,
            most_passes(
                cut.aligned, recognised=cut.recognised, monochrome=cut.toning is not None, cover=cover
            ),
        )

    def choose(self, settings: RestoreSettings | None = None, by_face: ByFace | None = None) -> ChosenFaces:
        """Return which faces would be restored, and with which settings, without restoring them."""
        settings, by_face = settings or RestoreSettings(), by_face or {}
        check_by_face(settings, by_face)
        with self._turn:
            return self._choose(settings, by_face, StageClock())

    def _choose(self, settings: RestoreSettings, by_face: ByFace, clock: StageClock) -> ChosenFaces:
        found, rules = self._faces(clock), read_rules(settings.face)
        person = self._restorer.person(rules.person) if rules.person else None
        judge = Judge(self._photo, lambda face: self._known_face(found.index(face)).descriptor, person)
        return choose_faces(found, settings, by_face, judge)

    def _know(self, works: Mapping[int, FaceWork]) -> dict[int, KnownFace]:
        """Return the descriptors of these faces in the photo."""
        with self._turn:
            return {i: self._known_face(i) for i in works}

    def _known_face(self, i: int) -> KnownFace:
        if i not in self._known:
            face = self._faces(StageClock())[i]
            self._known[i] = know(self._restorer.recogniser, self._photo, face)
        return self._known[i]

    def _pasted(
        self,
        works: Mapping[int, FaceWork],
        settings: RestoreSettings,
        clock: StageClock,
        shares: Mapping[int, float] | None = None,
    ) -> Pixels:
        """Return the photo, restored as a whole if requested, with its restored faces.

        shares  of their restorations, for faces that stop earlier
        """
        stops = {i: share_map(works[i].seen.aligned, share) for i, share in (shares or {}).items()}
        photo = next((work.seen.photo for work in works.values()), self._photo)
        canvas = self._rest(photo, settings, clock)
        tonings = {i: toning for i, work in works.items() if (toning := work.seen.cut.toning)}
        before = canvas if all(toning.is_grey for toning in tonings.values()) else canvas.copy()
        with clock.stage("paste", len(works)):
            large = photo if settings.upscale == 1 else enlarged(photo, settings.upscale)
            pasted = self._with_faces(canvas, large, works, stops, from_rest=restores_rest(settings))
            if restores_rest(settings) and photo is self._photo:
                match_noise(pasted, large, [work.placed for work in works.values()])
            if not tonings:
                return pasted
            return put_back(
                pasted,
                lambda: (before, self._rest(self._photo, settings, clock)),
                {i: work.placed for i, work in works.items()},
                tonings,
                {i: partial(patch.changed, large) for i, work in works.items() if (patch := work.mended)},
            )

    def _with_faces(
        self,
        canvas: Pixels,
        large: Pixels,
        works: Mapping[int, FaceWork],
        stops: Mapping[int, Map],
        *,
        from_rest: bool,
    ) -> Pixels:
        """Return the canvas with the faces pasted into it, in place.

        large      the photo, enlarged, that is handed back to faces; not changed
        stops      the shares of faces that stop earlier
        from_rest  whether the canvas, a restored photo, is handed back instead, so that faces keep no more
                   noise than what lies around them; not if faces keep their grain
        """
        placed = {i: work.placed for i, work in works.items()}
        hand_backs = for_each(works, lambda i: works[i].hand_back(stops.get(i)))
        roundings = {
            face_rectangle(placed[i], large.shape): rounding
            for i, work in works.items()
            if (rounding := work.rounding) is not None
        }
        faces = [(placed[i], work.restored) for i, work in works.items()]
        from_rest = from_rest and not any(back and back.grain is not None for back in hand_backs.values())
        backs = map(of_restored, hand_backs.values()) if from_rest else hand_backs.values()
        paste_all(canvas, faces, backs, photo=large, from_canvas=from_rest)
        pasted = {part: canvas[part[1] : part[3], part[0] : part[2]].copy() for part in roundings}
        for (x0, y0, x1, y1), rounding in roundings.items():
            keep_rounding(pasted[x0, y0, x1, y1], large[y0:y1, x0:x1], rounding)
            canvas[y0:y1, x0:x1] = pasted[x0, y0, x1, y1]
        return canvas

    def _rest(self, photo: Pixels, settings: RestoreSettings, clock: StageClock) -> Pixels:
        """Return a writable copy of the photo, enlarged, and restored as a whole if requested."""
        if not restores_rest(settings):
            return enlarged(photo, settings.upscale)
        toning = toning_of_photo(photo)
        given = all_in_grey(photo, toning) if toning else photo
        mended = given
        if settings.soften_scratches:
            with clock.stage("scratches"):
                mended = without_scratches(given, self._found or ())
        network = self._restorer.photo_network()
        with clock.stage("photo", len(photo)) as done:
            restored = enhanced(mended, network, settings, done)
        if not toning:
            return restored
        before, after = (enlarged(each, settings.upscale) for each in (given, mended))
        toned = enlarged(photo, settings.upscale)
        colour(toned, before[..., 1], restored[..., 1], toning, (before != after).any(axis=2))
        return toned

    def _face_result(
        self,
        face: Face,
        work: FaceWork | None,
        settings: RestoreSettings,
        identity: Identity | None,
        note: str,
    ) -> FaceResult:
        if work is None:
            warnings = face_warnings(face, None, settings)
            return FaceResult(face, None, None, 0.0, warnings, choice=note)
        aligned = work.seen.cut.aligned
        warnings = face_warnings(
            face,
            work.loop,
            work.settings,
            missing=work.seen.cut.missing,
            covered=work.covered,
            yaw=aligned.mesh.yaw if aligned.mesh else 0.0,
            above=work.seen.above,
            far=work.colours_are_far,
            made_out=work.made_out,
            identity=identity,
            most_passes=self._most_passes(work.seen.cut),
        )
        if self._restorer.parser and not aligned.parsed:
            warnings = (*warnings, not_parsed())
        done = work.settings.strength * progress(work.settings.latent_step_decay, work.loop.steps)
        done *= work.believed * (identity.share if identity else 1)
        return FaceResult(face, aligned, work.result, done, warnings, identity, note)


def _looks_once(settings: RestoreSettings, most: int) -> bool:
    return len(pass_schedule(settings.latent_step_decay, settings.iterations, most=most).times) == 1


def _kept(
    cache: dict[Hashable, Done], keys: Mapping[int, Hashable], work: Callable[[int], Done]
) -> dict[int, Done]:
    """Return the cached value of each face; missing ones are computed together."""
    new = for_each([i for i, key in keys.items() if key not in cache], work)
    cache.update((keys[i], done) for i, done in new.items())
    return {i: cache[key] for i, key in keys.items()}


def _digest(values: NDArray[np.float32]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(values).data).digest()


def _mended(photo: Pixels, cut: CutFace) -> tuple[AlignedFace, Patch | None]:
    return mended_face(photo, cut.own, grey=cut.toning is not None)


def _forget_oldest(cache: dict[Hashable, Any], most: int) -> None:
    for key in list(cache)[: max(0, len(cache) - most)]:
        del cache[key]
