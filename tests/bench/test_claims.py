import pytest

from bench.claims import claims_table
from bench.quality.claims import Measured, claims, share_back

MODEL = {
    "degraded": {"psnr": 24.0, "ssim": 0.60},
    "restored": {"psnr": 26.0, "ssim": 0.64},
}


def face(level):
    return {"psnr": level, "features_psnr": level, "texture": level / 100, "blur": level / 100}


def measured():
    names = ("jpeg-light", "mixed-light", "noise-medium", "blur-heavy")
    first = {name: {"input": face(30), "classic": face(30.1)} for name in (*names, "nearly-clean")}
    first["blur-heavy"]["classic"] = face(29)
    controlled = {
        name: {
            "input": face(30),
            "standard": face(30.2),
            "early-digital": face(30 + gain),
            "film-scan": face(30 + gain),
        }
        for name, gain in zip(names, (2, 1, 0.6, -0.4), strict=True)
    }
    return Measured(first, controlled, MODEL)


def judged():
    return {claim.text: claim for claim in claims(measured())}


def find(words):
    (claim,) = (claim for text, claim in judged().items() if words in text)
    return claim


def test_each_claim_is_judged_by_its_least_figure():
    assert find("training ranges: PSNR").holds
    assert not find("training ranges: SSIM").holds
    gained = find("early-digital: PSNR gained")
    assert (gained.holds, gained.worst) == (True, (pytest.approx(1), "mixed-light"))


def test_a_category_that_gets_worse_is_named():
    claim = find("not under its input by more, damaged")
    assert (claim.holds, claim.worst[1]) == (False, "blur-heavy")
    assert claims_table("", [claim]).rows[0][1:] == ("≥ -0.1", "-1.000 (blur-heavy)", "no")
    assert find("not under its input by more, nearly clean").holds
    claim = find("film-scan: PSNR gained")
    assert (claim.holds, claim.worst[1]) == (False, "blur-heavy")


def test_film_scan_must_not_smooth_grain_away():
    claim = find("film-scan keeps grain")
    assert (claim.holds, claim.worst) == (True, (pytest.approx(-0.006), "noise-medium"))


def test_what_was_not_measured_is_not_judged():
    for words in ("low-light: PSNR gained", "undegraded", "mixed damage", "standard is sharper"):
        for claim in (claim for text, claim in judged().items() if words in text):
            assert claim.holds is None
            assert claims_table("", [claim]).rows[0][2:] == ("not measured", "—")


def passes():
    """Return what five passes make of mixed damage, a portrait as it is, and noise, which they let back."""

    def values(psnr, blur, octaves):
        return {"psnr": psnr, "blur": blur, "skin_statistics": octaves, "hair_statistics": 2 * octaves}

    mixed = {
        "input": values(24, 0.7, 0.9),
        "classic": values(25, 0.65, 0.7),
        "1 pass": values(25, 0.65, 0.7),
        "2 passes": values(25.1, 0.62, 0.6),
        "standard": values(24.5, 0.53, 0.4),
        "truth": values(100, 0.4, 0),
    }
    noise = mixed | {"2 passes": values(24.8, 0.4, 0.3), "standard": values(24.8, 0.66, 0.3)}
    whole = mixed | {"input": values(100, 0.4, 0), "standard": values(41, 0.4, 0)}
    names = ("mixed-light", "mixed-medium", "mixed-heavy")
    controlled = dict.fromkeys(names, mixed) | {"noise-medium": noise, "undegraded": whole}
    judged = claims(Measured(controlled, {**controlled}, MODEL))
    return {claim.text: claim for claim in judged if claim.worst}


def test_passes_must_sharpen_everywhere_and_lose_nothing():
    judged = passes()
    assert judged["classic on mixed damage: PSNR gained, dB"].worst[0] == pytest.approx(1)
    assert judged["standard on mixed damage: PSNR gained, dB"].worst[0] == pytest.approx(0.5)
    share = judged["standard on mixed damage: share of the lost sharpness back"]
    assert (share.worst[0], share.holds) == (pytest.approx(17 / 30), True)
    sharper = judged["standard is sharper than one pass: blur effect less"]
    assert (sharper.holds, sharper.worst[1]) == (False, "noise-medium")
    nearer = judged["its texture on mixed damage is nearer to the truth's, octaves"]
    assert nearer.worst[0] == pytest.approx(0.3)
    two = judged["two passes are not under one by more, dB"]
    assert (two.holds, two.worst) == (False, (pytest.approx(-0.2), "noise-medium"))
    assert judged["an undegraded portrait comes back from standard, dB"].holds
    assert judged["classic is not under its input by more, damaged portraits, dB"].holds


def test_noise_has_lost_no_sharpness_that_could_come_back():
    values = {"input": {"blur": 0.36}, "truth": {"blur": 0.42}, "classic": {"blur": 0.47}}
    assert share_back(values, "classic") is None
    assert share_back(values | {"input": {"blur": 0.52}}, "classic") == pytest.approx(0.5)
