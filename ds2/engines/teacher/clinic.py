"""The medicine behind the families of `medqa.py`: from drawn values to truth, slips and steps.

Sources: Cockcroft and Gault (1976) for creatinine clearance; Albert, Dell and Winters (1967) for
the expected pCO2 in metabolic acidosis; Figge and others (1998) for albumin in the anion gap.
The dose label of the renal family is made up and stated in its wordings.
"""

from __future__ import annotations

from fractions import Fraction
from math import log

from ds2.engines.teacher.frame import Params, Solution, show, solution
from signatures.bloom import BloomLevel

POUNDS = Fraction("2.2")


def dosage(p: Params, level: BloomLevel) -> Solution:
    """Daily dose, single dose, volume a dose or volume a course, by weight."""
    day = p.weight * p.dose
    single = day / p.times
    volume = single * 5 / p.strength
    daily = f"The daily dose is {show(p.weight)} kg * {p.dose} mg/kg = {show(day, 1)} mg."
    if level is BloomLevel.REMEMBER:
        slips = [day * POUNDS, single, day * p.times, day / POUNDS]
        return solution(day, slips, daily, places=1)
    once = f"Divided by {p.times} that is {show(single, 1)} mg a dose."
    if level is BloomLevel.UNDERSTAND:
        slips = [day, single * POUNDS, day * p.times, single / POUNDS]
        return solution(single, slips, daily, once, places=1)
    drawn = (
        f"With {p.strength} mg in 5 mL a dose is {show(single, 1)} * 5 / {p.strength} = "
        f"{show(volume, 1)} mL."
    )
    if level is BloomLevel.ANALYZE:
        course = volume * p.times * p.days
        return solution(
            course,
            [volume * p.days, course / 5, course * POUNDS, course * p.times],
            daily,
            once,
            drawn,
            f"The course has {p.times} * {p.days} = {p.times * p.days} doses, so it takes "
            f"{show(course, 1)} mL.",
            places=1,
        )
    slips = [volume * p.times, volume * POUNDS, volume / 5, volume * 5]
    return solution(volume, slips, daily, once, drawn, places=1)


def _rate(value: Fraction | int) -> str:
    return f"{show(value, 1)}%"


def testing(p: Params, level: BloomLevel) -> Solution:
    """False positive rate, likelihood ratio or predictive values of a test."""
    wrong = 100 - p.specificity
    if level is BloomLevel.REMEMBER:
        return solution(
            _rate(wrong),
            [
                _rate(value)
                for value in (
                    100 - p.sensitivity,
                    p.specificity,
                    p.sensitivity,
                    Fraction(p.sick, 10),
                )
            ],
            f"The false positive rate is 100% - {p.specificity}% = {_rate(wrong)}.",
        )
    if level is BloomLevel.UNDERSTAND:
        ratio = Fraction(p.sensitivity, wrong)
        return solution(
            ratio,
            [
                Fraction(100 - p.sensitivity, p.specificity),
                Fraction(p.sensitivity, p.specificity),
                Fraction(p.specificity, 100 - p.sensitivity),
                Fraction(p.sensitivity, 100),
            ],
            f"The positive likelihood ratio is sensitivity over false positive rate: "
            f"{p.sensitivity}% / {wrong}% = {show(ratio, 2)}.",
            places=2,
        )
    well = 1000 - p.sick
    hits, misses = (
        Fraction(p.sick * p.sensitivity, 100),
        Fraction(p.sick * (100 - p.sensitivity), 100),
    )
    alarms, clear = Fraction(well * wrong, 100), Fraction(well * p.specificity, 100)
    sick = (
        f"Of 1000, {p.sick} are ill: {show(hits)} of them test positive, {show(misses)} negative."
    )
    healthy = f"Of the {well} others {show(alarms)} test positive and {show(clear)} negative."
    positive, negative = 100 * hits / (hits + alarms), 100 * clear / (clear + misses)
    if level is BloomLevel.ANALYZE:
        return solution(
            _rate(negative),
            [_rate(v) for v in (p.specificity, positive, 100 - negative, p.sensitivity)],
            sick,
            healthy,
            f"The negative predictive value is {show(clear)} / ({show(clear)} + {show(misses)}) = "
            f"{_rate(negative)}.",
        )
    return solution(
        _rate(positive),
        [_rate(v) for v in (p.sensitivity, negative, 100 - positive, p.specificity, hits / 10)],
        sick,
        healthy,
        f"The positive predictive value is {show(hits)} / ({show(hits)} + {show(alarms)}) = "
        f"{_rate(positive)}.",
    )


def benefit(p: Params, level: BloomLevel) -> Solution:
    """Risk, absolute and relative risk reduction, or number needed to treat."""
    usual, treated = Fraction(100 * p.usual, p.arm), Fraction(100 * p.treated, p.arm)
    less = usual - treated
    risks = (
        f"The risks are {p.usual} / {p.arm} = {show(usual, 2)}% with usual care and {p.treated} / "
        f"{p.arm} = {show(treated, 2)}% with the drug."
    )
    if level is BloomLevel.REMEMBER:
        odds = 100 * Fraction(p.usual, p.arm - p.usual)
        slips = [_rate(v) for v in (treated, odds, 100 - usual, less)]
        return solution(_rate(usual), slips, risks, f"Under usual care that is {_rate(usual)}.")
    gap = (
        f"The absolute risk reduction is {show(usual, 2)}% - {show(treated, 2)}% = "
        f"{show(less, 2)}%."
    )
    relative = 100 * less / usual
    if level is BloomLevel.UNDERSTAND:
        slips = [_rate(v) for v in (relative, 100 * treated / usual, usual + treated, treated)]
        return solution(_rate(less), slips, risks, gap, f"To one decimal that is {_rate(less)}.")
    if level is BloomLevel.ANALYZE:
        slips = [_rate(v) for v in (less, 100 * treated / usual, 100 * less / treated, usual)]
        return solution(
            _rate(relative),
            slips,
            risks,
            gap,
            f"Relative to usual care that is {p.usual - p.treated} / {p.usual} = {_rate(relative)}.",
        )
    number = _up(100 / less)
    return solution(
        number,
        [_up(100 / relative), _up(100 / usual), _up(less), number * 2, _up(100 / treated)],
        risks,
        gap,
        f"The number needed to treat is 100% / {show(less, 2)}% = {show(100 / less, 2)}, rounded up "
        f"to {number}.",
    )


def _up(value: Fraction) -> int:
    """Return `value` rounded up to the next whole number."""
    return -(-value.numerator // value.denominator)


COMPENSATION = (
    "metabolic acidosis with adequate respiratory compensation",
    "metabolic acidosis with an additional respiratory acidosis",
    "metabolic acidosis with an additional respiratory alkalosis",
    "respiratory acidosis with adequate metabolic compensation",
    "respiratory alkalosis with adequate metabolic compensation",
)


def acid_base(p: Params, level: BloomLevel) -> Solution:
    """Anion gap, its correction, expected pCO2, delta ratio or the disorder."""
    gap = p.sodium - p.chloride - p.bicarbonate
    plain = f"The anion gap is {p.sodium} - {p.chloride} - {p.bicarbonate} = {gap} mmol/L."
    if level is BloomLevel.REMEMBER:
        slips = [
            p.sodium - p.chloride,
            gap + 4,
            p.sodium - p.bicarbonate - 100,
            gap + p.bicarbonate,
        ]
        return solution(gap, slips, plain)
    missing = Fraction(5, 2) * (4 - p.albumin)
    full = gap + missing
    corrected = (
        f"Albumin of {show(p.albumin)} g/dL hides 2.5 * (4.0 - {show(p.albumin)}) = "
        f"{show(missing, 2)} mmol/L, so the corrected gap is {show(full, 2)} mmol/L."
    )
    if level is BloomLevel.UNDERSTAND:
        slips = [
            Fraction(gap),
            gap - missing,
            gap + (4 - p.albumin),
            gap + Fraction(5, 2) * p.albumin,
        ]
        return solution(full, slips, plain, corrected, places=2)
    if level is BloomLevel.CREATE:
        ratio = (full - 12) / (24 - p.bicarbonate)
        return solution(
            ratio,
            [
                (gap - 12) / Fraction(24 - p.bicarbonate),
                (24 - p.bicarbonate) / (full - 12),
                full / (24 - p.bicarbonate),
                (full - 12) / p.bicarbonate,
            ],
            plain,
            corrected,
            f"The delta ratio is ({show(full, 2)} - 12) / (24 - {p.bicarbonate}) = {show(ratio, 2)}.",
            places=2,
        )
    expected = Fraction(3, 2) * p.bicarbonate + 8
    winter = (
        f"Winter's formula expects a pCO2 of 1.5 * {p.bicarbonate} + 8 = {show(expected, 1)} mmHg."
    )
    if level in (BloomLevel.ANALYZE, BloomLevel.EVALUATE):
        kind = 0 if abs(p.carbon - expected) <= 2 else 1 if p.carbon > expected else 2
        return solution(
            COMPENSATION[kind],
            [text for text in COMPENSATION if text != COMPENSATION[kind]],
            f"Bicarbonate is {p.bicarbonate} mmol/L in an acidaemic patient: a metabolic acidosis.",
            winter,
            f"Measured are {p.carbon} mmHg, a difference of {show(p.carbon - expected)} where 2 either "
            f"way are allowed: {COMPENSATION[kind]}.",
        )
    slips = [
        Fraction(3, 2) * p.bicarbonate,
        Fraction(7, 10) * p.bicarbonate + 20,
        Fraction(p.bicarbonate + 8),
        Fraction(40),
    ]
    return solution(expected, slips, winter, places=1)


# Clearance in mL/min from which a share of the full dose holds, in percent.
LABEL = ((60, 100), (30, 75), (15, 50), (0, 25))


def clearance_of(p: Params) -> Fraction:
    """Return the creatinine clearance in mL/min after Cockcroft and Gault."""
    factor = Fraction(17, 20) if p.sex == "woman" else Fraction(1)
    return (140 - p.age) * p.weight * factor / (72 * p.creatinine)


def far_from_bounds(p: Params) -> bool:
    """Return whether the clearance differs from every bound of the label by 1 mL/min or more."""
    return all(abs(clearance_of(p) - bound) >= 1 for bound, _ in LABEL)


def renal(p: Params, level: BloomLevel) -> Solution:
    """Creatinine in other units, clearance after Cockcroft and Gault, or the adjusted dose."""
    if level is BloomLevel.REMEMBER:
        other = p.creatinine * Fraction("88.4")
        slips = [other / 10, p.creatinine * Fraction("17.1"), other * 10, p.creatinine * 60]
        return solution(
            other,
            slips,
            f"One mg/dL of creatinine is 88.4 micromol/L: {show(p.creatinine)} * 88.4 = "
            f"{show(other, 0)} micromol/L.",
            places=0,
        )
    clearance = clearance_of(p)
    tail = " * 0.85" if p.sex == "woman" else ""
    steps = (
        f"Cockcroft and Gault: (140 - {p.age}) * {p.weight} / (72 * {show(p.creatinine)}){tail} = "
        f"{show(clearance, 1)} mL/min."
    )
    share = next(share for bound, share in LABEL if clearance >= bound)
    if level in (BloomLevel.UNDERSTAND, BloomLevel.ANALYZE):
        doses = {part: Fraction(p.full * part, 100) for part in (100, 75, 50, 25, 10)}
        named = level is BloomLevel.UNDERSTAND
        shown = {part: f"{part}%" if named else f"{show(dose)} mg" for part, dose in doses.items()}
        truth = shown.pop(share)
        return solution(
            truth,
            list(shown.values()),
            steps,
            f"At this clearance the label allows {share}% of the full dose of {p.full} mg, that is "
            f"{show(doses[share])} mg.",
        )
    return solution(
        clearance,
        [
            clearance * (Fraction(20, 17) if tail else Fraction(17, 20)),
            clearance * p.age / (140 - p.age),
            clearance * POUNDS,
            clearance * 72 / p.weight,
        ],
        steps,
        places=1,
    )


def kinetics(p: Params, level: BloomLevel) -> Solution:
    """Time to steady state, volume of distribution, loading dose, infusion rate or level."""
    volume = p.weight * p.spread
    if level is BloomLevel.REMEMBER:
        return solution(
            4 * p.half,
            [p.half, 2 * p.half, 10 * p.half, Fraction(log(2)) * p.half],
            f"After four half-lives 1 - 1/16, about 94%, is reached: 4 * {p.half} = {4 * p.half}.0 h.",
            places=1,
        )
    space = f"The volume of distribution is {p.weight} kg * {show(p.spread)} L/kg = {show(volume, 1)} L."
    if level is BloomLevel.UNDERSTAND:
        slips = [p.weight / p.spread, volume * POUNDS, volume * p.target, 10 * volume]
        return solution(volume, slips, space, places=1)
    loading = volume * p.target
    if level is BloomLevel.ANALYZE:
        clearance = Fraction(log(2)) * volume / p.half
        rate = clearance * p.target
        return solution(
            rate,
            [loading / p.half, clearance, rate * p.half, rate / Fraction(log(2)) ** 2],
            space,
            f"Clearance is 0.693 * {show(volume, 1)} / {p.half} = {show(clearance, 2)} L/h.",
            f"To hold {p.target} mg/L the infusion must give {show(clearance, 2)} * {p.target} = "
            f"{show(rate, 1)} mg/h.",
            places=1,
        )
    return solution(
        loading,
        [
            p.spread * p.target,
            Fraction(p.weight * p.target),
            loading / p.half,
            loading * POUNDS,
        ],
        space,
        f"The loading dose is {show(volume, 1)} L * {p.target} mg/L = {show(loading, 1)} mg.",
        places=1,
    )
