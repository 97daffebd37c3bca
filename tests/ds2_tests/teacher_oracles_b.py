"""Answers to the teacher's cfa, gpqa, medqa and pubmedqa questions, worked out by other ways.

Cash flows one by one, every zygote, counted lines, tables of people: in floats, and from the drawn
values alone. `ORACLES` gives for each family the right answer, a number or a text.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from fractions import Fraction

from ds2.engines.teacher.frame import Params
from signatures.bloom import BloomLevel

REMEMBER, UNDERSTAND, APPLY, ANALYZE, EVALUATE, CREATE = BloomLevel


def _bond(p: Params, level: BloomLevel) -> float | str:
    flows = [(t, 10 * float(p.coupon) + 1000 * (t == p.years)) for t in range(1, p.years + 1)]
    worth = [(t, cash * math.exp(-t * math.log1p(float(p.rate) / 100))) for t, cash in flows]
    price = math.fsum(value for _, value in worth)
    if level is UNDERSTAND:
        side = "at" if abs(price - 1000) < 1e-9 else "above" if price > 1000 else "below"
        order = {"above": "higher than", "below": "lower than", "at": "equal to"}[side]
        return f"{side} par, since the coupon rate is {order} the yield"
    duration = math.fsum(t * value for t, value in worth) / price
    return {REMEMBER: flows[0][1] if p.years > 1 else 0.0, ANALYZE: duration}.get(level, price)


def _capm(p: Params, level: BloomLevel) -> float | str:
    free, market, beta = float(p.free), float(p.market), float(p.beta)
    required = (1 - beta) * free + beta * market
    if level is EVALUATE:
        cheap = p.forecast > required
        word, side = ("undervalued", "above") if cheap else ("overvalued", "below")
        return f"{word}, as its forecast return lies {side} the required one"
    return {REMEMBER: market - free, ANALYZE: float(p.forecast) - required}.get(level, required)


def _wacc(p: Params, level: BloomLevel) -> float:
    interest = p.debt * float(p.cost) / 100
    saved = interest * p.tax / 100
    total = p.debt + p.equity
    bill = p.equity * float(p.own) / 100 + interest - saved
    return {
        REMEMBER: 100 * (interest - saved) / p.debt,
        UNDERSTAND: 100 - 100 * p.equity / total,
        ANALYZE: 100 * saved / total,
    }.get(level, 100 * bill / total)


def _dividends(p: Params, level: BloomLevel) -> float:
    rate, payout = float(p.own) / 100, p.payout / 100
    growth = p.roe / 100 - p.roe / 100 * payout
    dividend, value = float(p.eps) * payout, 0.0
    # The series summed term by term until what is left is far below a cent.
    cash = dividend
    for year in range(1, 1000):
        cash *= 1 + growth
        value += cash / (1 + rate) ** year
    leading = value / (float(p.eps) * (1 + growth))
    return {REMEMBER: dividend, UNDERSTAND: 100 * growth, ANALYZE: leading}.get(level, value)


def _portfolio(p: Params, level: BloomLevel) -> float:
    weights = (p.weight / 100, 1 - p.weight / 100)
    joint = float(p.rho) * p.sa * p.sb
    matrix = ((p.sa**2, joint), (joint, p.sb**2))
    cells = itertools.product(range(2), repeat=2)
    risk = math.sqrt(sum(weights[i] * weights[j] * matrix[i][j] for i, j in cells))
    mean = weights[0] * p.ra + weights[1] * p.rb
    return {REMEMBER: mean, UNDERSTAND: joint / 1e4, ANALYZE: (mean - p.free) / risk}.get(
        level, risk
    )


def _forward(p: Params, level: BloomLevel) -> float | str:
    part, spot = p.months / 1200, float(p.spot)
    # Borrow the base currency for one unit later, change it at spot, lend the proceeds.
    locked = 1 / (1 + float(p.rb) * part) * spot * (1 + float(p.rq) * part)
    if level is UNDERSTAND:
        cheap = locked < spot
        word, order = ("discount", "higher") if cheap else ("premium", "lower")
        return f"at a forward {word}, since its interest rate is the {order} one"
    return {REMEMBER: float(p.rq) * p.months / 12, ANALYZE: (locked - spot) * 1e4}.get(
        level, locked
    )


def _given(phrase: str) -> float:
    """Return the datum of nature that a phrase such as `proton (rest energy 938.3 MeV)` states."""
    return float(re.findall(r"[\d.]+", phrase[phrase.index("(") :])[0])


def _relativity(p: Params, level: BloomLevel) -> float:
    rest = _given(p.particle)
    gamma = 1 + p.kinetic / rest
    beta = math.sqrt(1 - 1 / gamma**2)
    found = {REMEMBER: gamma * rest, UNDERSTAND: gamma, ANALYZE: beta}
    return found.get(level, gamma * beta * rest)


def _stoichiometry(p: Params, level: BloomLevel) -> float:
    equation, masses = p.reaction.split(" (molar masses ")
    m = [float(number) for number in re.findall(r"\d+\.\d", masses)]
    terms = [term for side in equation.split(" -> ") for term in side.split(" + ")]
    nu = [int(term.split()[0]) if " " in term else 1 for term in terms]
    moles = (p.first / m[0], p.second / m[1])
    extent = min(moles[0] / nu[0], moles[1] / nu[1])
    rest = max(p.first - extent * nu[0] * m[0], p.second - extent * nu[1] * m[1])
    made = extent * nu[2] * m[2] * p.percent / 100
    return {REMEMBER: moles[0], UNDERSTAND: extent, ANALYZE: rest}.get(level, made)


def _inheritance(p: Params, level: BloomLevel) -> str:
    def draws(genotype: str) -> list[tuple[str, ...]]:
        return list(itertools.product(genotype[:2], genotype[2:4], genotype[4:]))

    eggs, pollen = draws(p.mother), draws(p.father)
    if level is REMEMBER:
        return str(len(set(eggs)))
    zygotes = [[set(pair) for pair in zip(e, q, strict=True)] for e in eggs for q in pollen]
    if level is UNDERSTAND:
        wanted = [set(p.mother[i : i + 2]) for i in (0, 2, 4)]
        return str(Fraction(zygotes.count(wanted), len(zygotes)))
    alive = [z for z in zygotes if z[2] != {"c"}]
    purple = [z for z in alive if "A" in z[0] and "B" in z[1]]
    if level is ANALYZE:
        purple = [z for z in purple if "c" in z[2]]
    return str(Fraction(len(purple), len(alive)))


def _decay(p: Params, level: BloomLevel) -> float:
    tau_h = _given(p.isotope) / math.log(2)
    left = math.exp(-p.hours / tau_h)
    return {
        REMEMBER: 1 / tau_h,
        UNDERSTAND: 100 * left,
        ANALYZE: p.activity * tau_h * 3600 / 1e6,
        CREATE: p.activity / left,
    }.get(level, p.activity * left)


def _buffer(p: Params, level: BloomLevel) -> float:
    constant = 10 ** -_given(p.acid[p.acid.index("pKa") - 1 :])

    def ph(base: float, acid: float) -> float:
        return -math.log10(constant * acid / base)

    base, acid, more = float(p.base), float(p.weak), p.added / 1000
    before, after = ph(base, acid), ph(base - more, acid + more)
    ratio = (base - more) / (acid + more)
    return {REMEMBER: before, UNDERSTAND: ratio, ANALYZE: after - before}.get(level, after)


def _levels(p: Params, level: BloomLevel) -> float:
    z = int(re.findall(r"Z = (\d)", p.ion)[0])

    def energy(n: int) -> float:
        return -13.606 * (z / n) ** 2

    lines = len(list(itertools.combinations(range(p.low, p.high + 1), 2)))
    wave = 1239.84 / (energy(p.high) - energy(p.low))
    found = {REMEMBER: energy(p.low), UNDERSTAND: -energy(p.high), ANALYZE: float(lines)}
    return found.get(level, wave)


def _dosage(p: Params, level: BloomLevel) -> float:
    doses = p.times * p.days
    course_mg = float(p.weight) * p.dose * p.days
    course_ml = course_mg / (p.strength / 5)
    found = {REMEMBER: course_mg / p.days, UNDERSTAND: course_mg / doses, ANALYZE: course_ml}
    return found.get(level, course_ml / doses)


def _testing(p: Params, level: BloomLevel) -> float:
    prior = p.sick / (1000 - p.sick)
    true, false = p.sensitivity / 100, 1 - p.specificity / 100
    odds = prior * true / false
    against = (1 - false) / (1 - true) / prior
    found = {
        REMEMBER: 100 * false,
        UNDERSTAND: true / false,
        ANALYZE: 100 * against / (1 + against),
    }
    return found.get(level, 100 * odds / (1 + odds))


def _benefit(p: Params, level: BloomLevel) -> float:
    fewer = p.usual - p.treated
    needed = next(n for n in range(1, p.arm + 1) if n * fewer >= p.arm)
    found = {
        REMEMBER: 100 * p.usual / p.arm,
        UNDERSTAND: 100 * fewer / p.arm,
        ANALYZE: 100 - 100 * p.treated / p.usual,
    }
    return found.get(level, float(needed))


def _acid_base(p: Params, level: BloomLevel) -> float | str:
    gap = p.sodium - (p.chloride + p.bicarbonate)
    full = gap + 10 - 2.5 * float(p.albumin)
    expected = 8 + 1.5 * p.bicarbonate
    if level in (ANALYZE, EVALUATE):
        if p.carbon > expected + 2:
            return "metabolic acidosis with an additional respiratory acidosis"
        if p.carbon < expected - 2:
            return "metabolic acidosis with an additional respiratory alkalosis"
        return "metabolic acidosis with adequate respiratory compensation"
    delta = (full - 12) / (24 - p.bicarbonate)
    return {REMEMBER: float(gap), UNDERSTAND: full, CREATE: delta}.get(level, expected)


def _renal(p: Params, level: BloomLevel) -> float | str:
    clearance = (140 - p.age) * p.weight / 72 / float(p.creatinine)
    clearance *= 0.85 if p.sex == "woman" else 1
    share = 100 if clearance >= 60 else 75 if clearance >= 30 else 50 if clearance >= 15 else 25
    found: dict[BloomLevel, float | str] = {
        REMEMBER: float(p.creatinine) * 88.4,
        UNDERSTAND: f"{share}%",
        ANALYZE: f"{p.full * share // 100} mg",
    }
    return found.get(level, clearance)


def _kinetics(p: Params, level: BloomLevel) -> float:
    litres = float(p.spread) * p.weight
    # At steady state what goes in is what one hour takes out of a full compartment.
    hourly = litres * p.target * math.log(2) / p.half
    found = {REMEMBER: 4.0 * p.half, UNDERSTAND: litres, ANALYZE: hourly}
    return found.get(level, litres * p.target)


def _trial(p: Params, level: BloomLevel) -> str:
    sides = {bound >= p.relevant for bound in p.effect[1:]}
    return "maybe" if len(sides) > 1 else "yes" if sides == {True} else "no"


def _cohort(p: Params, level: BloomLevel) -> str:
    _, low, high = map(float, p.hazard)
    if (low - 1) * (high - 1) > 0:
        return "yes"
    return "no" if low >= 0.83 and high <= 1.20 else "maybe"


def _accuracy(p: Params, level: BloomLevel) -> str:
    def place(hits: int, total: int) -> int:
        """1 above the requirement, -1 below, 0 around it: Wilson's roots of (x-h)^2 = z^2 x(1-x)/n."""
        z2, share = 1.96**2, hits / total
        a, b, c = 1 + z2 / total, -(2 * share + z2 / total), share**2
        root = math.sqrt(b * b - 4 * a * c)
        low, high = (round(50 * (-b + sign * root) / a, 1) for sign in (-1, 1))
        return 1 if low >= p.needed else -1 if high < p.needed else 0

    places = [place(*p.sens[:2]), place(*p.spec[:2])]
    return {1: "yes", -1: "no", 0: "maybe"}[min(places)]


def _dose_response(p: Params, level: BloomLevel) -> str:
    held = (float(p.trend) < 0.05) + (sorted(set(p.changes)) == list(p.changes))
    return ("no", "maybe", "yes")[held]


def _crossover(p: Params, level: BloomLevel) -> str:
    if float(p.carry) < 0.1:
        return "maybe"
    return "yes" if min(p.gain) > 0 else "no"


def _review(p: Params, level: BloomLevel) -> str:
    if not p.pooled.high < 1:
        return "no"
    return "yes" if p.pooled.most < 1 else "maybe"


Oracle = Callable[[Params, BloomLevel], float | str]
ORACLES: dict[str, Oracle] = {
    "bond": _bond, "capm": _capm, "wacc": _wacc, "dividends": _dividends,
    "portfolio": _portfolio, "forward": _forward, "relativity": _relativity,
    "stoichiometry": _stoichiometry, "inheritance": _inheritance, "decay": _decay,
    "buffer": _buffer, "levels": _levels, "dosage": _dosage, "testing": _testing,
    "benefit": _benefit, "acid_base": _acid_base, "renal": _renal, "kinetics": _kinetics,
    "trial": _trial, "cohort": _cohort, "accuracy": _accuracy,
    "dose_response": _dose_response, "crossover": _crossover, "review": _review,
}  # fmt: skip
