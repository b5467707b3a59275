import pytest

from bench.claims import Measured, claims, row

MODEL = {
    "degraded": {"psnr": 24.0, "ssim": 0.60},
    "restored": {"psnr": 26.0, "ssim": 0.64},
    "untouched": {"psnr": 33.5, "ssim": 0.9},
    "second": {"psnr": 38.5, "ssim": 0.9},
}


def face(level):
    keys = ("psnr", "skin_psnr", "features_psnr")
    return dict.fromkeys(keys, level) | {"texture": level / 100}


def measured():
    names = ("nearly-clean", "mixed-light", "noise-medium", "blur-heavy")
    first = {name: {"input": face(30), "classic": face(30.1)} for name in names}
    first["blur-heavy"]["classic"] = face(29)
    controlled = {
        name: {
            "input": face(30),
            "classic": face(30),
            "standard": face(30.2),
            "early-digital": face(30 + gain),
        }
        for name, gain in zip(names, (2, 1, 0.6, -0.4), strict=True)
    }
    blends = {
        "noise-medium": {
            "standard": {"cored": 30.3, "plain": 30},
            "early-digital": {"cored": 31, "plain": 30},
        },
        "nearly-clean": {"standard": {"cored": 30, "plain": 30.05}},
    }
    return Measured(first, controlled, blends, MODEL)


def judged():
    return {claim.text: claim for claim in claims(measured())}


def find(words):
    (claim,) = (claim for text, claim in judged().items() if words in text)
    return claim


def test_each_claim_is_judged_by_its_least_figure():
    assert find("training ranges: PSNR").holds
    assert not find("training ranges: SSIM").holds
    assert not find("undegraded portrait").holds
    assert find("second pass").holds
    assert find("not under a plain blend").worst[1] == "nearly-clean, standard"
    assert find("not under a plain blend").holds
    assert find("with noise σ 12").worst[1] == "noise-medium, standard"
    assert find("early-digital over classic on skin").worst[1] == "noise-medium"
    assert find("early-digital over classic on skin").holds
    assert find("standard is not under classic").holds
    assert find("nor over it").worst[0] == pytest.approx(-0.2)


def test_a_category_that_gets_worse_is_named():
    claim = find("not under its input by more, damaged")
    assert (claim.holds, claim.worst[1]) == (False, "blur-heavy")
    assert row(claim)[1:] == ("≥ -0.2", "-1.000 (blur-heavy)", "no")
    assert find("not under its input by more, nearly clean").holds
    claim = find("early-digital on skin under strong blur")
    assert (claim.holds, claim.worst[1]) == (False, "blur-heavy")


def test_what_was_not_measured_is_not_judged():
    claim = find("film-scan over classic on skin")
    assert claim.holds is None
    assert row(claim)[2:] == ("not measured", "—")
