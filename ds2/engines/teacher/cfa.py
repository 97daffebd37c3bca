"""Investment analysis: the wordings of six families with three options each, and their keywords."""

from __future__ import annotations

from fractions import Fraction

from ds2.engines.teacher import finance
from ds2.engines.teacher.frame import Domain, Family, node
from ds2.engines.teacher.slots import Decimal, Whole, Word
from ds2.engines.teacher.wording import asks_for

_FIRMS = Word(
    (
        "Arvena", "Bellcourt", "Corvanta", "Dorsal Rail", "Eastmere Foods", "Fennick Steel",
        "Garnet Optics", "Halden Power", "Ilmara Shipping", "Jutland Paper", "Kestrel Air",
        "Lumeno Health", "Morrow Cement", "Northvale Water", "Orlanta", "Pellworm Energy",
    )
)  # fmt: skip


BOND = Family(
    name="bond",
    difficulty=0.6,
    slots={
        "firm": _FIRMS,
        "coupon": Decimal(2, 9, step=5),
        "years": Whole(2, 6),
        "rate": Decimal(2, 10, step=5),
    },
    scenes=(
        (
            "{firm} has issued a bond with a face value of 1000 dollars, a coupon of {coupon}% "
            "paid once a year and {years} years to maturity. Bonds of like risk yield {rate}% a "
            "year."
        ),
        (
            "An analyst looks at a {years}-year note of {firm} that repays 1000 dollars and "
            "carries an annual coupon of {coupon}%. The market asks for a yield of {rate}%, "
            "compounded yearly."
        ),
        (
            "Among the holdings of a pension fund is debt of {firm}: nominal 1000 dollars, yearly "
            "coupons at {coupon}%, [redemption|repayment] in {years} years, yield to maturity "
            "{rate}%."
        ),
    ),
    asks=asks_for(
        "the price of the bond in dollars, to the cent",
        at={
            "remember": "the yearly coupon payment in dollars",
            "understand": "the position of the price relative to par",
            "analyze": "the Macaulay duration in years, to two decimals",
        },
        create=(
            (
                "Lay out a schedule of all payments with their discount factors; which price in "
                "dollars, to the cent, does it give?"
            ),
            (
                "Construct a portfolio of zero-coupon bonds that pays the same, value it at that "
                "yield, and give its cost in dollars, to the cent."
            ),
        ),
    ),
    solve=finance.bond,
)


CAPM = Family(
    name="capm",
    difficulty=0.35,
    slots={
        "firm": _FIRMS,
        "free": Decimal(1, 5, step=5),
        "market": Decimal(6, 12, step=5),
        "beta": Decimal(0, 2, places=2, step=5),
        "forecast": Decimal(4, 18, step=5),
    },
    scenes=(
        (
            "The share of {firm} has a beta of {beta}. Treasury bills yield {free}%, the market "
            "portfolio is expected to return {market}%, and the analyst forecasts {forecast}% for "
            "the share."
        ),
        (
            "A manager expects {forecast}% from the stock of {firm} over the next year. Its beta "
            "against the index is {beta}; the index should return {market}% and the risk-free rate "
            "is {free}%."
        ),
        (
            "Risk-free rate: {free}%. Expected return of the market: {market}%. Beta of {firm}: "
            "{beta}. Return that the research desk forecasts for this share: {forecast}%."
        ),
    ),
    asks=asks_for(
        "the return that the CAPM requires of the share, in percent to two decimals",
        at={
            "remember": "the market's risk premium in percent",
            "analyze": "the alpha of the share (forecast return less required return), to two decimals",
        },
        evaluate=(
            "A [colleague|client] calls the share {claim}. Judge the call by the CAPM: the share is ...",
            "Is the view that the share is {claim} supported by the CAPM? Choose the verdict that is.",
        ),
    ),
    solve=finance.capm,
    fit=lambda p: (
        p.beta >= Fraction(2, 5)
        and p.beta != 1
        and p.forecast != p.free + p.beta * (p.market - p.free)
    ),
)


WACC = Family(
    name="wacc",
    difficulty=0.5,
    slots={
        "firm": _FIRMS,
        "equity": Whole(200, 900, 20),
        "debt": Whole(100, 600, 20),
        "own": Decimal(8, 14, step=5),
        "cost": Decimal(3, 7, step=5),
        "tax": Whole(15, 35, 5),
    },
    scenes=(
        (
            "{firm} is financed with equity of {equity} million dollars and debt of {debt} million "
            "dollars, both at market value. Its cost of equity is {own}%, its debt costs {cost}% "
            "before tax, and the tax rate is {tax}%."
        ),
        (
            "The treasurer of {firm} reports: market value of equity {equity} million, market "
            "value of debt {debt} million, required return on equity {own}%, pre-tax cost of debt "
            "{cost}%, marginal tax rate {tax}%."
        ),
        (
            "At market prices the shares of {firm} are worth {equity} million dollars and its "
            "bonds {debt} million. Shareholders require {own}%, bondholders {cost}%, and interest "
            "is deductible at a tax rate of {tax}%."
        ),
    ),
    asks=asks_for(
        "the weighted average cost of capital in percent, to two decimals",
        at={
            "remember": "the cost of debt after tax in percent, to two decimals",
            "understand": "the weight of debt in the capital structure in percent, to two decimals",
            "analyze": "the fall of the cost of capital due to the tax shield, in percentage points to two "
            "decimals",
        },
        create=(
            (
                "Set up a hurdle rate for projects of average risk from the parts given; what is "
                "it to two decimals, if it equals the after-tax cost of all capital?"
            ),
            (
                "Design a discount rate for the firm's free cash flow out of these figures and "
                "state it to two decimals."
            ),
        ),
    ),
    solve=finance.wacc,
    fit=lambda p: p.equity != p.debt,
)


DIVIDENDS = Family(
    name="dividends",
    difficulty=0.65,
    slots={
        "firm": _FIRMS,
        "eps": Decimal(1, 9, places=2, step=10),
        "payout": Whole(30, 80, 5),
        "roe": Whole(6, 20),
        "own": Decimal(8, 15, step=5),
    },
    scenes=(
        (
            "{firm} has just earned {eps} dollars a share and distributed {payout}% of it. Its "
            "return on equity of {roe}% and the payout are expected to last, and investors require "
            "{own}%."
        ),
        (
            "Earnings of {firm} were {eps} dollars a share last year, with a payout ratio of "
            "{payout}%. Retained profit earns {roe}% for ever, and the cost of equity is {own}%."
        ),
        (
            "For the stock of {firm} a student notes: last earnings per share {eps} dollars, "
            "payout {payout}% (dividend just paid), return on equity {roe}%, required return "
            "{own}%, all constant."
        ),
    ),
    asks=asks_for(
        "the value of the share in dollars by constant dividend growth, to the cent",
        at={
            "remember": "the last dividend per share in dollars, to the cent",
            "understand": "the sustainable growth rate in percent",
            "analyze": "the justified ratio of price to next year's earnings, to two decimals",
        },
    ),
    solve=finance.dividends,
    fit=lambda p: p.own - Fraction(p.roe * (100 - p.payout), 100) >= 2 and p.payout != 50,
)


PORTFOLIO = Family(
    name="portfolio",
    difficulty=0.7,
    slots={
        "fund": Word(("equities", "small caps", "emerging markets", "real estate shares")),
        "other": Word(("government bonds", "corporate bonds", "gold", "commodities")),
        "weight": Whole(20, 80, 5),
        "ra": Whole(7, 14),
        "rb": Whole(3, 9),
        "sa": Whole(14, 30),
        "sb": Whole(5, 20),
        "rho": Decimal(-1, 1),
        "free": Whole(1, 3),
    },
    scenes=(
        (
            "A portfolio holds {weight}% in {fund} and the rest in {other}. Expected returns are "
            "{ra}% and {rb}%, standard deviations {sa}% and {sb}% in the same order, their "
            "correlation is {rho}, and cash returns {free}%."
        ),
        (
            "An adviser puts {weight}% of a client's wealth into {fund} (expected return {ra}%, "
            "standard deviation {sa}%) and all else into {other} (expected return {rb}%, standard "
            "deviation {sb}%). The returns have a correlation of {rho}; the risk-free rate is "
            "{free}%."
        ),
        (
            "Two asset classes make up a foundation's fund: {fund} with a mean return of {ra}% and "
            "a volatility of {sa}%, and {other} with {rb}% and {sb}%. The first has a weight of "
            "{weight}%, the correlation is {rho}, and the riskless rate {free}%."
        ),
    ),
    asks=asks_for(
        "the standard deviation of the portfolio's return in percent, to two decimals",
        at={
            "remember": "the expected return of the portfolio in percent",
            "understand": "the covariance of the two returns as a decimal fraction, to five decimals",
            "analyze": "the Sharpe ratio of the portfolio, to two decimals",
        },
        create=(
            (
                "Assemble the two-by-two covariance matrix, combine it with the weights, and give "
                "the standard deviation that comes out, to two decimals."
            ),
            (
                "Form one risk figure for the client's statement, the standard deviation of the "
                "whole to two decimals, out of these parts."
            ),
        ),
    ),
    solve=finance.portfolio,
    fit=lambda p: 0 != abs(p.rho) < 1 and p.weight != 50 and p.ra > p.rb,
)


FORWARD = Family(
    name="forward",
    difficulty=0.55,
    slots={
        "base": Word(("EUR", "GBP", "AUD", "CHF", "CAD")),
        "quote": Word(("USD", "SGD", "NZD", "SEK", "ILS")),
        "spot": Decimal(1, 2, places=4, step=5),
        "rb": Decimal(1, 6, step=5),
        "rq": Decimal(1, 8, step=5),
        "months": Whole(3, 9, 3),
    },
    scenes=(
        (
            "One {base} costs {spot} {quote} in the spot market. Deposits for {months} months pay "
            "{rb}% a year in {base} and {rq}% a year in {quote}, as simple interest."
        ),
        (
            "A bank quotes the spot rate at {spot} {quote} for one {base}. The simple yearly rates "
            "for a term of {months} months are {rq}% in {quote} and {rb}% in {base}, and parity "
            "holds."
        ),
        (
            "An exporter will receive {base} in {months} months. Spot stands at {spot} {quote} per "
            "{base}; money can be placed or borrowed at {rb}% in {base} and at {rq}% in {quote}, "
            "simple, per year."
        ),
    ),
    asks=asks_for(
        "the arbitrage-free forward rate in {quote} per {base}, to four decimals",
        at={
            "remember": "the interest earned on {quote} over the term in percent, to two decimals",
            "understand": "the standing of {base} in the forward market",
            "analyze": "the forward points on {base}, to one decimal (one point is 0.0001 {quote})",
        },
        create=(
            (
                "Construct a hedge for one {base} out of a loan, a spot deal and a deposit; which "
                "forward rate in {quote} per {base}, to four decimals, does it lock in?"
            ),
            (
                "Build the forward out of money-market deals and give the rate in {quote} per "
                "{base} that it implies, to four decimals."
            ),
        ),
    ),
    solve=finance.forward,
    fit=lambda p: p.rq != p.rb,
)

KEYWORDS = (
    node("bond valuation", "bond", core=True, needs="present value, coupon rate",
         also="bond pricing, valuation of bonds"),
    node("capital asset pricing model", "capm", core=True, needs="risk premium, beta", also="CAPM"),
    node("weighted average cost of capital", "wacc", core=True,
         needs="capital structure, cost of equity, cost of debt", also="WACC"),
    node("dividend discount model", "dividends", core=True,
         needs="present value, required return", also="DDM, dividend valuation"),
    node("portfolio risk", "portfolio", core=True, needs="standard deviation, covariance",
         also="portfolio volatility"),
    node("interest rate parity", "forward", core=True, needs="spot exchange rate, simple interest",
         also="covered interest parity"),
    node("yield to maturity", "bond", core=True, needs="discount rate", also="YTM, redemption yield"),
    node("cost of equity", "wacc capm", core=True, needs="required return",
         also="required return on equity"),
    node("diversification", "portfolio", core=True, needs="correlation", also="spreading of risk"),
    node("present value", "bond dividends", core=True, needs="discount rate",
         also="time value of money"),
    node("forward contracts", "forward", core=True, needs="spot exchange rate", also="forwards"),
    node("price multiples", "dividends", core=True, needs="earnings per share",
         also="valuation multiples"),
    node("required return", "capm dividends", needs="risk-free rate", also="hurdle return"),
    node("risk-free rate", "capm portfolio", also="riskless rate"),
    node("risk premium", "capm", needs="risk-free rate", also="excess return of the market"),
    node("beta", "capm", needs="covariance", also="beta coefficient, market sensitivity"),
    node("alpha", "capm", needs="capital asset pricing model", also="abnormal return"),
    node("security market line", "capm", needs="capital asset pricing model", also="SML"),
    node("discount rate", "bond wacc", also="discounting rate"),
    node("coupon rate", "bond", also="nominal interest of a bond"),
    node("premium and discount bonds", "bond", needs="coupon rate, yield to maturity",
         also="bonds above and below par"),
    node("bond duration", "bond", needs="bond valuation", also="Macaulay duration"),
    node("cost of debt", "wacc", needs="yield to maturity", also="borrowing cost"),
    node("interest tax shield", "wacc", needs="cost of debt", also="tax shield of debt"),
    node("capital structure", "wacc", needs="market value of equity", also="financing mix"),
    node("market value of equity", "wacc", also="market capitalisation"),
    node("financial leverage", "wacc", needs="capital structure", also="gearing"),
    node("sustainable growth rate", "dividends", needs="return on equity, payout ratio",
         also="internal growth rate"),
    node("return on equity", "dividends", needs="earnings per share", also="ROE"),
    node("payout ratio", "dividends", needs="earnings per share", also="dividend payout"),
    node("earnings per share", "dividends", also="EPS"),
    node("justified price-earnings ratio", "dividends", needs="price multiples, payout ratio",
         also="justified P/E"),
    node("expected return", "portfolio capm", also="mean return"),
    node("standard deviation", "portfolio", needs="expected return", also="volatility"),
    node("correlation", "portfolio", needs="covariance", also="correlation coefficient"),
    node("covariance", "portfolio", needs="expected return", also="joint variability"),
    node("Sharpe ratio", "portfolio", needs="portfolio risk, risk-free rate",
         also="reward to variability"),
    node("spot exchange rate", "forward", also="spot rate of a currency"),
    node("simple interest", "forward", also="interest without compounding"),
    node("forward premium", "forward", needs="interest rate parity", also="forward points"),
)  # fmt: skip

DOMAIN = Domain(
    task="cfa",
    families=(BOND, CAPM, WACC, DIVIDENDS, PORTFOLIO, FORWARD),
    keywords=KEYWORDS,
    openings=(
        "A candidate for the charter meets {first} in this [vignette|case].",
        "The investment committee [asks about|discusses] {first}.",
    ),
    pair_openings=("The investment committee relates {first} to {second}.",),
    asides=(
        "Transaction costs are ignored.",
        "[The figures were|All figures were] checked by the [middle office|auditor].",
        "The report is due [today|on Friday].",
        "Markets have been [calm|busy] this week.",
    ),
)
