"""The finance behind the families of `cfa.py`: from drawn values to truth, slips and steps.

Rates are percentages a year and amounts are exact until they are shown; only standard deviations
are irrational and go through a float before they are rounded. The level decides what is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import sqrt

from ds2.engines.teacher.frame import Params, Solution, show, solution
from signatures.bloom import BloomLevel

_HUNDRED = Fraction(1, 100)


def _pct(value: Fraction) -> str:
    return f"{show(value, 2)}%"


def _percents(truth: Fraction, slips: Iterable[Fraction | int], *steps: str) -> Solution:
    return solution(_pct(truth), [_pct(Fraction(slip)) for slip in slips], *steps)


_PAR = (
    "above par, since the coupon rate is higher than the yield",
    "below par, since the coupon rate is lower than the yield",
    "at par, since the coupon rate is equal to the yield",
)


def _price(coupon: Fraction, rate: Fraction, years: int, face: int = 1000) -> Fraction:
    """Return the present value of yearly coupons and the face value, discounted at `rate`."""
    growth = 1 + rate * _HUNDRED
    coupons = sum((coupon / growth**year for year in range(1, years + 1)), Fraction(0))
    return coupons + face / growth**years


def bond(p: Params, level: BloomLevel) -> Solution:
    """Coupon, place relative to par, Macaulay duration or price of a bond."""
    coupon, growth = 10 * p.coupon, 1 + p.rate * _HUNDRED
    price = _price(coupon, p.rate, p.years)
    if level is BloomLevel.REMEMBER:
        return solution(
            coupon,
            [coupon / 2, 10 * p.rate, coupon * p.years],
            f"A coupon is the coupon rate times the face value: {show(p.coupon)}% * 1000 = "
            f"{show(coupon, 2)} dollars a year.",
            places=2,
        )
    if level is BloomLevel.UNDERSTAND:
        order = (p.coupon < p.rate) + 2 * (p.coupon == p.rate)
        return solution(
            _PAR[order],
            [text for text in _PAR if text != _PAR[order]],
            f"The coupon rate is {show(p.coupon)}% and the yield is {show(p.rate)}%.",
            f"A bond that pays more than the market asks for costs more than par, one that pays less "
            f"costs less: here the price is {_PAR[order]}.",
        )
    if level is BloomLevel.ANALYZE:
        weighted = sum(
            (year * coupon / growth**year for year in range(1, p.years + 1)), Fraction(0)
        )
        weighted += p.years * 1000 / growth**p.years
        plain = (coupon * p.years * (p.years + 1) / 2 + p.years * 1000) / (coupon * p.years + 1000)
        duration = weighted / price
        return solution(
            duration,
            [duration / growth, plain, p.years, duration * growth],
            f"The price is the sum of the discounted payments: {show(price, 2)} dollars.",
            f"The discounted payments, each times its year, add up to {show(weighted, 2)}.",
            f"The Macaulay duration is {show(weighted, 2)} / {show(price, 2)} = "
            f"{show(duration, 2)} years.",
            places=2,
        )
    annuity = _price(coupon, p.rate, p.years, 0)
    return solution(
        price,
        [
            _price(10 * p.rate, p.coupon, p.years),
            1000 / growth**p.years + coupon * p.years,
            annuity,
            coupon * p.years + 1000,
        ],
        f"The yearly coupon is {show(p.coupon)}% of 1000 = {show(coupon, 2)} dollars.",
        f"Discounted at {show(p.rate)}%, the {p.years} coupons are worth {show(annuity, 2)} dollars.",
        f"The face value is worth 1000 / {show(growth)}^{p.years} = "
        f"{show(price - annuity, 2)} dollars today.",
        f"So the price is {show(annuity, 2)} + {show(price - annuity, 2)}, which is "
        f"{show(price, 2)} dollars before rounding the parts.",
        places=2,
    )


_PRICED = (
    "undervalued, as its forecast return lies above the required one",
    "overvalued, as its forecast return lies below the required one",
    "fairly valued, as its forecast return equals the required one",
)


def capm(p: Params, level: BloomLevel) -> Solution:
    """Market premium, alpha, verdict or required return of a share."""
    premium = p.market - p.free
    required = p.free + p.beta * premium
    first = f"The market's premium is {show(p.market)}% - {show(p.free)}% = {_pct(premium)}."
    second = (
        f"The required return is {show(p.free)}% + {show(p.beta, 2)} * {show(premium)}% = "
        f"{_pct(required)}."
    )
    if level is BloomLevel.REMEMBER:
        return _percents(premium, [p.market, p.beta * premium, p.market + p.free], first)
    if level is BloomLevel.ANALYZE:
        alpha = p.forecast - required
        return _percents(
            alpha,
            [-alpha, p.forecast - p.market, p.forecast - p.free - p.beta * p.market],
            first,
            second,
            f"Alpha is {show(p.forecast)}% - {_pct(required)} = {_pct(alpha)}.",
        )
    if level is BloomLevel.EVALUATE:
        order = (p.forecast < required) + 2 * (p.forecast == required)
        return solution(
            _PRICED[order],
            [text for text in _PRICED if text != _PRICED[order]],
            first,
            second,
            f"The forecast is {show(p.forecast)}%, so the share is {_PRICED[order]}.",
        )
    return _percents(
        required, [p.beta * p.market, p.free + p.beta * p.market, p.beta * premium], first, second
    )


def wacc(p: Params, level: BloomLevel) -> Solution:
    """Cost of debt after tax, weight of debt, worth of the tax shield or cost of capital."""
    total = p.equity + p.debt
    owed, owned = Fraction(p.debt, total), Fraction(p.equity, total)
    kept = 1 - p.tax * _HUNDRED
    after = p.cost * kept
    weights = (
        f"Capital is {p.equity} + {p.debt} = {total} million, so debt weighs {p.debt} / {total} = "
        f"{_pct(100 * owed)} and equity {_pct(100 * owned)}."
    )
    taxed = (
        f"Debt costs {show(p.cost)}% * (1 - {show(p.tax * _HUNDRED)}) = {_pct(after)} after tax."
    )
    if level is BloomLevel.REMEMBER:
        return _percents(after, [p.cost, p.cost * p.tax * _HUNDRED, p.cost / kept], taxed)
    if level is BloomLevel.UNDERSTAND:
        slips = [100 * Fraction(p.debt, p.equity), 100 * owned, 100 * owed * kept]
        return _percents(100 * owed, slips, weights)
    if level is BloomLevel.ANALYZE:
        shield = owed * p.cost * p.tax * _HUNDRED
        return _percents(
            shield,
            [p.cost * p.tax * _HUNDRED, owed * after, owned * p.cost * p.tax * _HUNDRED],
            weights,
            f"Interest saves tax worth {show(p.cost)}% * {p.tax}% = "
            f"{_pct(p.cost * p.tax * _HUNDRED)} of the debt.",
            f"Weighted with debt's share that is {_pct(shield)} of all capital.",
        )
    wacc = owned * p.own + owed * after
    return _percents(
        wacc,
        [
            owned * p.own + owed * p.cost,
            owed * p.own + owned * after,
            (owned * p.own + owed * p.cost) * kept,
            (p.own + after) / 2,
        ],
        weights,
        taxed,
        f"The WACC is {_pct(100 * owned)} * {show(p.own)}% + {_pct(100 * owed)} * {_pct(after)} = "
        f"{_pct(wacc)}.",
    )


def dividends(p: Params, level: BloomLevel) -> Solution:
    """Dividend, growth, justified multiple or value of a share by constant growth."""
    payout, kept = p.payout * _HUNDRED, 1 - p.payout * _HUNDRED
    growth = p.roe * kept
    paid, gap = p.eps * payout, (p.own - growth) * _HUNDRED
    rise = 1 + growth * _HUNDRED
    grows = f"Growth is {p.roe}% * (1 - {show(payout)}) = {_pct(growth)}."
    if level is BloomLevel.REMEMBER:
        return solution(
            paid,
            [p.eps * kept, paid * rise, p.eps],
            f"The dividend is {show(p.eps, 2)} * {show(payout)} = {show(paid, 2)} dollars.",
            places=2,
        )
    if level is BloomLevel.UNDERSTAND:
        return _percents(growth, [p.roe * payout, p.roe, p.own * kept, p.own - growth], grows)
    if level is BloomLevel.ANALYZE:
        return solution(
            payout / gap,
            [payout * rise / gap, kept / gap, 1 / gap, payout / (p.own * _HUNDRED)],
            grows,
            f"The price to next year's earnings is the payout over required return less growth: "
            f"{show(payout)} / ({show(p.own * _HUNDRED)} - {show(growth * _HUNDRED)}) = "
            f"{show(payout / gap, 2)}.",
            places=2,
        )
    value = paid * rise / gap
    return solution(
        value,
        [
            paid / gap,
            paid * rise / (p.own * _HUNDRED),
            p.eps * rise / gap,
            paid * rise / ((p.own + growth) * _HUNDRED),
        ],
        grows,
        f"The last dividend was {show(p.eps, 2)} * {show(payout)} = {show(paid, 4)} dollars, the next "
        f"one is {show(paid, 4)} * {show(rise)} = {show(paid * rise, 4)}.",
        f"The value is {show(paid * rise, 4)} / ({show(p.own * _HUNDRED)} - "
        f"{show(growth * _HUNDRED)}) = {show(value, 2)} dollars.",
        places=2,
    )


def portfolio(p: Params, level: BloomLevel) -> Solution:
    """Mean, covariance, Sharpe ratio or standard deviation of two assets."""
    first, second = p.weight * _HUNDRED, 1 - p.weight * _HUNDRED
    mean = first * p.ra + second * p.rb
    means = (
        f"The expected return is {show(first)} * {p.ra}% + {show(second)} * {p.rb}% = {_pct(mean)}."
    )
    joint = p.rho * p.sa * p.sb
    if level is BloomLevel.REMEMBER:
        return _percents(
            mean, [second * p.ra + first * p.rb, Fraction(p.ra + p.rb, 2), p.ra + p.rb], means
        )
    if level is BloomLevel.UNDERSTAND:
        shown = show(joint / 10_000, 5)
        return solution(
            joint / 10_000,
            [Fraction(p.sa * p.sb, 10_000), joint * first * second / 10_000, p.rho * p.sa / 100],
            f"Covariance is correlation times both deviations: {show(p.rho)} * "
            f"{show(p.sa * _HUNDRED)} * {show(p.sb * _HUNDRED)} = {shown}.",
            places=5,
        )
    own = (first * p.sa) ** 2 + (second * p.sb) ** 2
    variance = own + 2 * first * second * joint
    risk = Fraction(sqrt(variance))
    risks = (
        f"The variance in squared percent is {show(own, 2)} + ({show(2 * first * second * joint, 2)}) "
        f"= {show(variance, 2)}, so the standard deviation is {_pct(risk)}."
    )
    average = first * p.sa + second * p.sb
    if level is BloomLevel.ANALYZE:
        sharpe = (mean - p.free) / risk
        return solution(
            sharpe,
            [mean / risk, (mean - p.free) / average, (mean - p.free) / Fraction(sqrt(own))],
            means,
            risks,
            f"The Sharpe ratio is ({_pct(mean)} - {p.free}%) / {_pct(risk)} = {show(sharpe, 2)}.",
            places=2,
        )
    half = Fraction(sqrt(own + first * second * joint))
    return _percents(
        risk,
        [average, Fraction(sqrt(own)), half],
        f"The own terms are ({show(first)} * {p.sa})^2 + ({show(second)} * {p.sb})^2 = "
        f"{show(own, 2)}; the joint term is 2 * {show(first)} * {show(second)} * {show(p.rho)} * "
        f"{p.sa} * {p.sb}.",
        risks,
    )


_FORWARD = (
    "at a forward discount, since its interest rate is the higher one",
    "at a forward premium, since its interest rate is the lower one",
    "at a forward rate equal to spot, since the interest rates are equal",
)


def forward(p: Params, level: BloomLevel) -> Solution:
    """Interest, standing, points or rate of a currency forward by covered parity."""
    part = Fraction(p.months, 12) * _HUNDRED
    price, base = 1 + p.rq * part, 1 + p.rb * part
    forward = p.spot * price / base
    grown = (
        f"Over {p.months} months {p.quote} grows by {show(100 * (price - 1), 4)}% and {p.base} by "
        f"{show(100 * (base - 1), 4)}%."
    )
    if level is BloomLevel.REMEMBER:
        return _percents(
            100 * (price - 1),
            [p.rq, 100 * (base - 1), 100 * (price - base)],
            f"Simple interest is the yearly rate times the part of the year: {show(p.rq)}% * "
            f"{p.months} / 12 = {_pct(100 * (price - 1))}.",
        )
    if level is BloomLevel.UNDERSTAND:
        order = (p.rb < p.rq) + 2 * (p.rb == p.rq)
        return solution(
            _FORWARD[order],
            [text for text in _FORWARD if text != _FORWARD[order]],
            f"Interest on {p.base} is {show(p.rb)}%, on {p.quote} {show(p.rq)}%.",
            f"The forward rate must take back what the rates give, so {p.base} trades "
            f"{_FORWARD[order]}.",
        )
    steps = (
        grown,
        f"The forward rate is {show(p.spot, 4)} * {show(price)} / {show(base)} = {show(forward, 4)}.",
    )
    if level is BloomLevel.ANALYZE:
        points = 10_000 * (forward - p.spot)
        return solution(
            points,
            [-points, 10_000 * p.spot * (p.rq - p.rb) / 100, 10_000 * p.spot * (base / price - 1)],
            *steps,
            f"The forward points are ({show(forward, 6)} - {show(p.spot, 4)}) * 10000 = "
            f"{show(points, 1)}.",
            places=1,
        )
    yearly = p.spot * (100 + p.rq) / (100 + p.rb)
    return solution(
        forward, [p.spot * base / price, yearly, p.spot * price, p.spot / base], *steps, places=4
    )
