"""The science behind the families of `gpqa.py`: from drawn values to truth, slips and steps.

The phrases that carry data of nature (`PARTICLES`, `REACTIONS`, `ISOTOPES`, `ACIDS`, `IONS`) are
slots of the wordings and keys here, so that a question states what its solution uses.
Logarithms, roots and powers go through floats and are rounded at the end.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import exp, log, log10, sqrt
from typing import NamedTuple

from ds2.engines.teacher.frame import Params, Solution, show, solution
from signatures.bloom import BloomLevel

PARTICLES = {
    "muon (rest energy 105.7 MeV)": Fraction("105.7"),
    "charged pion (rest energy 139.6 MeV)": Fraction("139.6"),
    "charged kaon (rest energy 493.7 MeV)": Fraction("493.7"),
    "proton (rest energy 938.3 MeV)": Fraction("938.3"),
    "deuteron (rest energy 1875.6 MeV)": Fraction("1875.6"),
    "triton (rest energy 2808.9 MeV)": Fraction("2808.9"),
}


def relativity(p: Params, level: BloomLevel) -> Solution:
    """Total energy, Lorentz factor, speed or momentum of a particle of known kinetic energy."""
    rest, kinetic = PARTICLES[p.particle], p.kinetic
    total = rest + kinetic
    momentum = Fraction(sqrt(total**2 - rest**2))
    classical = Fraction(sqrt(2 * rest * kinetic))
    sums = f"The total energy is {show(rest)} + {kinetic} = {show(total)} MeV."
    if level is BloomLevel.REMEMBER:
        slips: list[Fraction | int] = [abs(kinetic - rest), momentum, rest + 2 * kinetic]
        return solution(total, slips, sums, places=1)
    if level is BloomLevel.UNDERSTAND:
        gamma = total / rest
        return solution(
            gamma,
            [kinetic / rest, rest / total, 1 + kinetic / (2 * rest)],
            sums,
            f"The Lorentz factor is {show(total)} / {show(rest)} = {show(gamma, 3)}.",
            places=3,
        )
    squared = (
        f"From E^2 = (pc)^2 + (mc^2)^2, pc is the root of {show(total)}^2 - {show(rest)}^2, "
        f"which is {show(momentum, 1)} MeV."
    )
    if level is BloomLevel.ANALYZE:
        beta = momentum / total
        return solution(
            beta,
            [classical / rest, rest / total, momentum / rest, kinetic / total],
            sums,
            squared,
            f"The speed is pc / E = {show(momentum, 1)} / {show(total)} = {show(beta, 4)} c.",
            places=4,
        )
    sloppy = Fraction(sqrt(total**2 + rest**2))
    return solution(momentum, [classical, kinetic, sloppy, total], sums, squared, places=1)


class Reaction(NamedTuple):
    """Coefficients and molar masses (g/mol) of two reactants and of the product asked for."""

    a: int
    b: int
    c: int
    mass_a: Fraction
    mass_b: Fraction
    mass_c: Fraction


def _named(equation: str, a: int, b: int, c: int, masses: str) -> tuple[str, Reaction]:
    first, second, third = masses.split()
    shown = f"{equation} (molar masses {first}, {second} and {third} g/mol)"
    return shown, Reaction(a, b, c, Fraction(first), Fraction(second), Fraction(third))


REACTIONS = dict(
    (
        _named("N2 + 3 H2 -> 2 NH3", 1, 3, 2, "28.0 2.0 17.0"),
        _named("2 Al + 3 Cl2 -> 2 AlCl3", 2, 3, 2, "27.0 70.9 133.3"),
        _named("4 Fe + 3 O2 -> 2 Fe2O3", 4, 3, 2, "55.8 32.0 159.7"),
        _named("P4 + 6 Cl2 -> 4 PCl3", 1, 6, 4, "123.9 70.9 137.3"),
        _named("2 NO + O2 -> 2 NO2", 2, 1, 2, "30.0 32.0 46.0"),
        _named("CO + 2 H2 -> CH3OH", 1, 2, 1, "28.0 2.0 32.0"),
        _named("3 Mg + N2 -> Mg3N2", 3, 1, 1, "24.3 28.0 100.9"),
        _named("S8 + 24 F2 -> 8 SF6", 1, 24, 8, "256.5 38.0 146.1"),
    )
)


def extents(p: Params) -> tuple[Fraction, Fraction]:
    """Return how many moles of reaction each reactant alone would allow."""
    r = REACTIONS[p.reaction]
    return p.first / r.mass_a / r.a, p.second / r.mass_b / r.b


def stoichiometry(p: Params, level: BloomLevel) -> Solution:
    """Amount, extent, excess or yield where one of two reactants limits."""
    r = REACTIONS[p.reaction]
    n_a, n_b = p.first / r.mass_a, p.second / r.mass_b
    one, two = extents(p)
    amounts = (
        f"The amounts are {p.first} / {show(r.mass_a)} = {show(n_a, 3)} mol of the first reactant "
        f"and {p.second} / {show(r.mass_b)} = {show(n_b, 3)} mol of the second."
    )
    if level is BloomLevel.REMEMBER:
        slips = [n_a / r.a, n_a * r.a, r.mass_a / p.first, n_b, Fraction(p.first, 100)]
        return solution(n_a, slips, amounts, places=3)
    least = min(one, two)
    limits = (
        f"Divided by the coefficients these allow {show(one, 3)} and {show(two, 3)} mol of "
        f"reaction, so the {'first' if one < two else 'second'} reactant limits."
    )
    if level is BloomLevel.UNDERSTAND:
        slips = [max(one, two), min(n_a, n_b), n_a + n_b, (one + two) / 2]
        return solution(least, slips, amounts, limits, places=3)
    if level is BloomLevel.ANALYZE:
        over = p.second - r.b * one * r.mass_b if one < two else p.first - r.a * two * r.mass_a
        used = r.b * r.mass_b * one if one < two else r.a * r.mass_a * two
        given = p.second if one < two else p.first
        return solution(
            over,
            [used, abs(Fraction(p.first - p.second)), (max(one, two) - least) * 10, over / 2],
            amounts,
            limits,
            f"Of the other one {show(used, 1)} g are used up, so {given} - {show(used, 1)} = "
            f"{show(over, 1)} g are left.",
            places=1,
        )
    full = least * r.c * r.mass_c
    got = full * p.percent / 100
    return solution(
        got,
        [
            full,
            max(one, two) * r.c * r.mass_c * p.percent / 100,
            least * r.mass_c * p.percent / 100,
            full * 100 / p.percent,
        ],
        amounts,
        limits,
        f"That gives {show(least, 3)} * {r.c} * {show(r.mass_c)} = {show(full, 1)} g at most, and "
        f"{p.percent}% of it is {show(got, 1)} g.",
        places=1,
    )


class Brood(NamedTuple):
    """Shares of the zygotes of a cross: purple, with allele A, with allele B, like the mother."""

    purple: Fraction
    with_a: Fraction
    with_b: Fraction
    like_mother: Fraction


def gametes(genotype: str) -> list[str]:
    """Return the equally likely gametes of a genotype such as `AaBbCc`, doublets kept."""
    return ["".join(alleles) for alleles in product(*(genotype[i : i + 2] for i in (0, 2, 4)))]


def cross(mother: str, father: str) -> Brood:
    """Return the shares among all zygotes, by counting every union of two gametes."""
    zygotes = [
        "".join("".join(sorted(pair)) for pair in zip(egg, pollen, strict=True))
        for egg, pollen in product(gametes(mother), gametes(father))
    ]

    def share(held: list[bool]) -> Fraction:
        return Fraction(sum(held), len(zygotes))

    return Brood(
        share(["A" in zygote and "B" in zygote for zygote in zygotes]),
        share(["A" in zygote for zygote in zygotes]),
        share(["B" in zygote for zygote in zygotes]),
        share([zygote == mother for zygote in zygotes]),
    )


def _ratio(value: Fraction) -> str:
    return str(value)


_TEXTBOOK = (Fraction(9, 16), Fraction(3, 4), Fraction(3, 8), Fraction(3, 16), Fraction(1, 4))


def _ratios(truth: Fraction, slips: list[Fraction], *steps: str) -> Solution:
    near = [slip for slip in (*slips, *_TEXTBOOK) if 0 < slip < 1]
    return solution(_ratio(truth), [_ratio(slip) for slip in near], *steps)


def inheritance(p: Params, level: BloomLevel) -> Solution:
    """Gametes, genotypes and colours of a cross with epistasis and a lethal recessive."""
    kinds = len(set(gametes(p.mother)))
    mixed = sum(p.mother[i] != p.mother[i + 1] for i in (0, 2, 4))
    if level is BloomLevel.REMEMBER:
        return solution(
            kinds,
            [2 * mixed, 3**mixed, 8 if kinds != 8 else 6, 4**mixed, mixed],
            f"The parent {p.mother} is heterozygous at {mixed} of three unlinked genes, and each of "
            f"these doubles the number of kinds: 2^{mixed} = {kinds}.",
        )
    brood = cross(p.mother, p.father)
    if level is BloomLevel.UNDERSTAND:
        same = brood.like_mother
        return _ratios(
            same,
            [1 - same, same * 2, same / 2, Fraction(1, 8)],
            f"Each gene is passed on by itself, so the chance of {p.mother} from {p.mother} x "
            f"{p.father} is the product over the three genes.",
            f"Of the 64 unions of gametes {64 * same} give {p.mother}: {_ratio(same)}.",
        )
    purple = brood.purple
    parts = (
        f"At least one A comes with chance {_ratio(brood.with_a)}, at least one B with chance "
        f"{_ratio(brood.with_b)}; purple needs both, and the genes are unlinked."
    )
    both = (
        f"So {_ratio(brood.with_a)} * {_ratio(brood.with_b)} = {_ratio(purple)} are purple; the "
        "lethal gene is unlinked and leaves this share as it is."
    )
    if level is BloomLevel.ANALYZE:
        wanted = purple * Fraction(2, 3)
        return _ratios(
            wanted,
            [purple / 2, purple, purple * Fraction(3, 4), purple / 3],
            parts,
            both,
            "From Cc x Cc the survivors are 1/3 CC and 2/3 Cc.",
            f"Together that is {_ratio(purple)} * 2/3 = {_ratio(wanted)}.",
        )
    return _ratios(
        purple,
        [brood.with_a, purple * Fraction(3, 4), brood.with_a * (1 - brood.with_b), 1 - purple],
        parts,
        both,
    )


ISOTOPES = {
    "gallium-68 (half-life 1.13 h)": Fraction("1.13"),
    "fluorine-18 (half-life 1.83 h)": Fraction("1.83"),
    "technetium-99m (half-life 6.01 h)": Fraction("6.01"),
    "copper-64 (half-life 12.7 h)": Fraction("12.7"),
    "iodine-123 (half-life 13.2 h)": Fraction("13.2"),
    "sodium-24 (half-life 15.0 h)": Fraction(15),
}


def decay(p: Params, level: BloomLevel) -> Solution:
    """Decay constant, share left, number of nuclei, activity later or activity to prepare."""
    half = ISOTOPES[p.isotope]
    rate = Fraction(log(2)) / half
    left = Fraction(2 ** -float(p.hours / half))
    decays = f"The decay constant is ln 2 / {show(half)} h = {show(rate, 4)} per hour."
    if level is BloomLevel.REMEMBER:
        return solution(rate, [1 / half, half * Fraction(log(2)), 2 * rate], decays, places=4)
    lives = p.hours / half
    halves = f"The time is {p.hours} / {show(half)} = {show(lives, 3)} half-lives."
    if level is BloomLevel.UNDERSTAND:
        shares = [100 * value for value in (1 - left, Fraction(exp(-lives)))]
        return solution(
            f"{show(100 * left, 1)}%",
            [f"{show(value, 1)}%" for value in (*shares, 100 / (1 + lives), 50 / lives)],
            halves,
            f"The share left is 2^(-{show(lives, 3)}) = {show(100 * left, 1)}%.",
        )
    if level is BloomLevel.ANALYZE:
        nuclei = p.activity * 10**6 / (rate / 3600) / 10**12
        return solution(
            nuclei,
            [
                nuclei / 60,
                p.activity * half * 3600 / 10**6,
                nuclei * left,
                nuclei * Fraction(log(2)),
            ],
            decays,
            f"In seconds that is {show(rate * 10**6 / 3600, 3)} * 10^-6 per second.",
            f"So N = A / lambda = {p.activity} * 10^6 / ({show(rate * 10**6 / 3600, 3)} * 10^-6), "
            f"which is {show(nuclei, 2)} * 10^12.",
            places=2,
        )
    if level is BloomLevel.CREATE:
        return solution(
            p.activity / left,
            [p.activity * (1 + lives / 2), p.activity * left, p.activity * lives * 2],
            halves,
            f"What is prepared must be larger by 2^{show(lives, 3)}: {p.activity} * "
            f"{show(1 / left, 3)} = {show(p.activity / left, 1)} MBq.",
            places=1,
        )
    return solution(
        p.activity * left,
        [
            p.activity * Fraction(exp(-lives)),
            p.activity * (1 - left),
            p.activity * Fraction(2 ** -float(1 / lives)),
            p.activity / (1 + lives),
        ],
        halves,
        f"The activity is {p.activity} * 2^(-{show(lives, 3)}) = {show(p.activity * left, 1)} MBq.",
        places=1,
    )


ACIDS = {
    "formic acid (pKa 3.75)": Fraction("3.75"),
    "lactic acid (pKa 3.86)": Fraction("3.86"),
    "benzoic acid (pKa 4.20)": Fraction("4.20"),
    "acetic acid (pKa 4.76)": Fraction("4.76"),
    "propionic acid (pKa 4.87)": Fraction("4.87"),
    "ammonium (pKa 9.25)": Fraction("9.25"),
}


def buffer(p: Params, level: BloomLevel) -> Solution:
    """Acidity of a litre of buffer before and after some strong acid, and the ratio within."""
    pka, more = ACIDS[p.acid], Fraction(p.added, 1000)
    base, acid = p.base - more, p.weak + more

    def ph(ratio: Fraction, sign: int = 1) -> Fraction:
        return pka + sign * Fraction(log10(ratio))

    before = ph(p.base / p.weak)
    start = (
        f"By Henderson and Hasselbalch the pH is {show(pka, 2)} + log({show(p.base, 2)} / "
        f"{show(p.weak, 2)}) = {show(before, 2)} at first."
    )
    if level is BloomLevel.REMEMBER:
        slips = [ph(p.base / p.weak, -1), pka, ph(p.base / (p.base + p.weak)), before + 1]
        return solution(before, slips, start, places=2)
    moved = (
        f"The strong acid turns {show(more, 3)} mol of base into acid: {show(base, 3)} mol of base "
        f"and {show(acid, 3)} mol of acid are left."
    )
    if level is BloomLevel.UNDERSTAND:
        slips = [acid / base, p.base / p.weak, base / p.weak, (p.base + more) / (p.weak - more)]
        return solution(
            base / acid,
            slips,
            moved,
            f"Their ratio is {show(base, 3)} / {show(acid, 3)} = {show(base / acid, 2)}.",
            places=2,
        )
    after = ph(base / acid)
    end = f"The pH is then {show(pka, 2)} + log({show(base, 3)} / {show(acid, 3)}) = {show(after, 2)}."
    if level is BloomLevel.ANALYZE:
        up = ph((p.base + more) / (p.weak - more))
        return solution(
            after - before,
            [before - after, ph(base / p.weak) - before, up - before, Fraction(log10(more))],
            start,
            moved,
            end,
            f"Unrounded, the change comes to {show(after - before, 2)}.",
            places=2,
        )
    slips = [
        ph(acid / base),
        before,
        ph((p.base + more) / (p.weak - more)),
        ph(base / p.weak),
    ]
    return solution(after, slips, moved, end, places=2)


IONS = {
    "a hydrogen atom (Z = 1)": 1,
    "a He+ ion (Z = 2)": 2,
    "a Li2+ ion (Z = 3)": 3,
    "a Be3+ ion (Z = 4)": 4,
    "a B4+ ion (Z = 5)": 5,
}
RYDBERG_EV = Fraction("13.606")
HC_EV_NM = Fraction("1239.84")


def levels(p: Params, level: BloomLevel) -> Solution:
    """Energy levels of a one-electron ion: an energy, a count of lines or a wavelength."""
    z = IONS[p.ion]
    scale = RYDBERG_EV * z * z
    low, high = -scale / p.low**2, -scale / p.high**2
    first = f"The levels are -13.606 * {z}^2 / n^2 eV: {show(low, 2)} eV for n = {p.low}"
    if level is BloomLevel.REMEMBER:
        return solution(
            low,
            [low * p.low, -RYDBERG_EV * z / p.low**2, -low, low * p.low**2, high],
            f"{first}.",
            places=2,
        )
    second = f"{first} and {show(high, 2)} eV for n = {p.high}."
    if level is BloomLevel.UNDERSTAND:
        slips = [high - low, -low, scale / p.high, -high / z, scale]
        return solution(
            -high,
            slips,
            second,
            f"To free the electron from n = {p.high} takes {show(-high, 2)} eV.",
            places=2,
        )
    steps = p.high - p.low
    if level is BloomLevel.ANALYZE:
        lines = steps * (steps + 1) // 2
        return solution(
            lines,
            [steps, steps**2, 2**steps, p.high * (p.high - 1) // 2, steps + 1],
            f"The levels from n = {p.low} to n = {p.high} are {steps + 1} in number.",
            f"Each pair of them gives one line: {steps + 1} * {steps} / 2 = {lines}.",
        )
    gap = high - low
    wave = HC_EV_NM / gap
    return solution(
        wave,
        [
            wave * z,
            HC_EV_NM / (scale * (Fraction(1, p.low) - Fraction(1, p.high))),
            HC_EV_NM / -low,
            HC_EV_NM / (-low - high),
        ],
        second,
        f"The photon takes the difference, {show(gap, 3)} eV.",
        f"Its wavelength is 1239.84 / {show(gap, 3)} = {show(wave, 2)} nm.",
        places=2,
    )
