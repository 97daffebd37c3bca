"""Grade-school mathematics: six families whose result is one number."""

from __future__ import annotations

from fractions import Fraction

from ds2.engines.teacher.frame import Domain, Family, Params, Solution, node, show, solution
from ds2.engines.teacher.slots import Whole, Word
from ds2.engines.teacher.wording import asks_for
from ds2.engines.teacher.words import GOODS, NAMES, PLACES, TOWNS
from signatures.bloom import BloomLevel


def _shopping(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    first, second = p.n * p.price, p.m * p.cost
    total = first + second
    off = Fraction(total * p.pct, 100)
    return solution(
        total - off,
        [total, off, total + off, Fraction(first * (100 - p.pct), 100) + second],
        f"The {p.item} cost {p.n} * {p.price} = {first} dollars.",
        f"The {p.other} cost {p.m} * {p.cost} = {second} dollars, so both come to {total} dollars.",
        f"The discount is {p.pct}% of {total} = {show(off)} dollars.",
        f"The price to pay is {total} - {show(off)} = {show(total - off)} dollars.",
    )


SHOPPING = Family(
    name="shopping",
    difficulty=0.3,
    slots={
        "name": Word(NAMES),
        "place": Word(PLACES),
        "item": Word(GOODS),
        "other": Word(GOODS),
        "n": Whole(2, 15),
        "price": Whole(2, 12),
        "m": Whole(2, 12),
        "cost": Whole(3, 20),
        "pct": Whole(5, 40, 5),
    },
    scenes=(
        (
            "At {place}, {name} [buys|picks up|takes] {n} {item} at {price} dollars each and {m} {other} "
            "at {cost} dollars each. A voucher takes {pct}% off the whole bill."
        ),
        (
            "{name} needs {n} {item} and {m} {other} from {place}. One of the former costs {price} "
            "dollars, one of the latter {cost} dollars, and today [everything|the whole basket] is "
            "{pct}% cheaper."
        ),
        (
            "The price list of {place} says {price} dollars for each of the {item} and {cost} dollars "
            "for each of the {other}. {name} orders {n} of the first kind and {m} of the second and, "
            "as a [regular|member|neighbour], gets {pct}% off the total."
        ),
    ),
    asks=asks_for(
        "the amount in dollars that {name} pays",
        analyze=(
            (
                "Split the bill into its two kinds of goods, see what the discount does to their sum, "
                "and derive the amount in dollars that {name} pays."
            ),
            (
                "Which parts make up the bill, and how does the reduction act on them? "
                "Give the amount in dollars that {name} pays."
            ),
        ),
        create=(
            (
                "Write out a receipt for {name} with a line for each kind of goods and one for the "
                "discount; what amount in dollars stands at the bottom?"
            ),
            "Design a single formula for the bill of {name} and use it: how many dollars are due?",
        ),
    ),
    solve=_shopping,
    fit=lambda p: (p.n * p.price + p.m * p.cost) * p.pct % 100 == 0,
)


def _travel(p: Params, level: BloomLevel) -> Solution:
    first, second = p.speed * p.hours, p.pace * p.more
    total = first + second
    if level is BloomLevel.ANALYZE:
        return solution(
            abs(first - second),
            [total, abs(p.speed - p.pace), abs(p.speed * p.more - p.pace * p.hours)],
            f"The first part is {p.speed} * {p.hours} = {first} km long.",
            f"The second part is {p.pace} * {p.more} = {second} km long.",
            f"They differ by {max(first, second)} - {min(first, second)} = "
            f"{abs(first - second)} km.",
        )
    return solution(
        total,
        [(p.speed + p.pace) * (p.hours + p.more), first, p.speed * p.more + p.pace * p.hours],
        f"Distance is speed times time: {p.speed} * {p.hours} = {first} km at first.",
        f"Then {p.pace} * {p.more} = {second} km.",
        f"Together that is {first} + {second} = {total} km.",
    )


TRAVEL = Family(
    name="travel",
    difficulty=0.2,
    slots={
        "name": Word(NAMES),
        "start": Word(TOWNS),
        "goal": Word(TOWNS),
        "vehicle": Word(("bus", "van", "bicycle", "tram", "train", "scooter", "tractor", "boat")),
        "speed": Whole(12, 90, 2),
        "hours": Whole(2, 7),
        "pace": Whole(10, 85, 5),
        "more": Whole(2, 6),
    },
    scenes=(
        (
            "{name} leaves {start} by {vehicle} and [travels|goes on] at {speed} km per hour for "
            "{hours} hours. After a rest the trip goes on at {pace} km per hour for {more} hours and "
            "ends in {goal}."
        ),
        (
            "On the way from {start} to {goal}, the {vehicle} of {name} covers the first part in "
            "{hours} hours at {speed} km per hour and the second part in {more} hours at {pace} km "
            "per hour."
        ),
        (
            "The log of a {vehicle} that {name} drove from {start} to {goal} shows two stretches: "
            "{hours} hours with a steady {speed} km per hour, then {more} hours with a steady {pace} "
            "km per hour."
        ),
    ),
    asks=asks_for(
        "the length in km of the whole trip",
        analyze=(
            "Compare the two parts of the trip: by how many km do their lengths differ?",
            "Break the trip into its two parts and give the difference in km between their lengths.",
        ),
    ),
    solve=_travel,
    fit=lambda p: p.speed != p.pace and p.speed * p.hours != p.pace * p.more,
)


def _sharing(p: Params, level: BloomLevel) -> Solution:
    part = p.total // (p.a + p.b)
    if level in (BloomLevel.ANALYZE, BloomLevel.CREATE):
        wanted, words = (
            (p.b - p.a) * part,
            f"{p.other} has a lead of {p.b - p.a} such parts over {p.name}",
        )
        slips = [p.b * part, p.a * part, Fraction(p.total * (p.b - p.a), p.b)]
    else:
        wanted, words = p.b * part, f"{p.other} gets {p.b} of the parts"
        slips = [p.a * part, p.total // 2, Fraction(p.total * p.a, p.b)]
    return solution(
        wanted,
        [slip for slip in slips if Fraction(slip).denominator == 1] + [part],
        f"The ratio {p.a} : {p.b} makes {p.a} + {p.b} = {p.a + p.b} equal parts.",
        f"One part is {p.total} / {p.a + p.b} = {part} {p.item}.",
        f"As {words}, the result is {wanted // part} * {part} = {wanted}.",
    )


_DIFFERENCE = (
    "how many more {item} {other} gets than {name}",
    "the number of {item} that {other} gets beyond the share of {name}",
)

SHARING = Family(
    name="sharing",
    difficulty=0.4,
    slots={
        "name": Word(NAMES),
        "other": Word(NAMES),
        "item": Word(GOODS),
        "a": Whole(1, 5),
        "b": Whole(2, 9),
        "total": Whole(24, 400),
    },
    scenes=(
        "{name} and {other} share {total} {item} in the ratio {a} to {b}, in this order.",
        (
            "A box with {total} {item} is [divided|split] between {name} and {other} so that for every "
            "{a} that {name} gets, {other} gets {b}."
        ),
        "The shares of {name} and {other} in a stock of {total} {item} stand in the ratio {a} : {b}.",
    ),
    asks=asks_for(
        "the number of {item} that {other} gets",
        analyze=(
            f"Relate the two shares to each other and find out {_DIFFERENCE[0]}.",
            f"Look at the parts one by one: what is {_DIFFERENCE[1]}?",
        ),
        create=(
            f"Draw a bar model of the two shares, label it, and read off {_DIFFERENCE[0]}.",
            f"Set up a table of parts of your own and derive {_DIFFERENCE[1]}.",
        ),
    ),
    solve=_sharing,
    fit=lambda p: p.a < p.b and p.total % (p.a + p.b) == 0,
)


def _growth(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    raised = Fraction(p.base * (100 + p.up), 100)
    final = raised * (100 - p.down) / 100
    return solution(
        final,
        [
            Fraction(p.base * (100 + p.up - p.down), 100),
            raised,
            Fraction(p.base * (100 - p.down), 100),
            p.base + p.up - p.down,
        ],
        f"After the rise there are {p.base} + {p.up}% of {p.base} = {show(raised)}.",
        f"The fall takes {p.down}% of {show(raised)} = {show(raised - final)}.",
        f"So {show(raised)} - {show(raised - final)} = {show(final)} are left.",
    )


GROWTH = Family(
    name="growth",
    difficulty=0.6,
    slots={
        "name": Word(NAMES),
        "town": Word(TOWNS),
        "group": Word(
            ("members", "visitors", "subscribers", "pupils", "bees", "readers", "trees", "sheep")
        ),
        "base": Whole(100, 4000, 20),
        "up": Whole(5, 60, 5),
        "down": Whole(5, 50, 5),
    },
    scenes=(
        (
            "A count in {town} by {name} gives {base} {group}. A year later the number has [risen|grown] "
            "by {up}%, and in the year after that it falls by {down}% of the new number."
        ),
        (
            "{name} keeps a chart for {town}: {base} {group} at the start, then a rise of {up}% in "
            "spring and, from that higher level, a drop of {down}% in autumn."
        ),
        (
            "In {town} there were {base} {group}, as {name} noted. Their number first went up by {up}% "
            "and then, counted from the raised number, went down by {down}%."
        ),
    ),
    asks=asks_for("the number of {group} at the end"),
    solve=_growth,
    fit=lambda p: p.base * (100 + p.up) * (100 - p.down) % 10_000 == 0 and p.up != p.down,
)


def _clock(p: Params, level: BloomLevel) -> Solution:
    each = p.minutes + p.pause
    if level in (BloomLevel.EVALUATE, BloomLevel.ANALYZE):
        work, free = p.rounds * p.minutes, (p.rounds - 1) * p.pause
        return solution(
            work - free,
            [work - p.rounds * p.pause, p.minutes - p.pause, work],
            f"The work takes {p.rounds} * {p.minutes} = {work} minutes.",
            f"Between {p.rounds} rounds there are {p.rounds - 1} breaks: "
            f"{p.rounds - 1} * {p.pause} = {free} minutes.",
            f"The difference is {work} - {free} = {work - free} minutes.",
        )
    total = p.rounds * each - p.pause
    return solution(
        total,
        [p.rounds * each, p.rounds * p.minutes, p.rounds * p.minutes + p.pause],
        f"The {p.rounds} rounds take {p.rounds} * {p.minutes} = {p.rounds * p.minutes} minutes.",
        f"There is no break after the last round, so there are {p.rounds - 1} breaks: "
        f"{p.rounds - 1} * {p.pause} = {(p.rounds - 1) * p.pause} minutes.",
        f"In all it takes {p.rounds * p.minutes} + {(p.rounds - 1) * p.pause} = {total} minutes.",
    )


_LEAD = "by how many minutes the work takes longer than all breaks together"

CLOCK = Family(
    name="clock",
    difficulty=0.5,
    slots={
        "name": Word(NAMES),
        "job": Word(
            ("painting", "rehearsing", "training", "baking", "sorting mail", "weeding", "sewing")
        ),
        "rounds": Whole(3, 12),
        "minutes": Whole(15, 55, 5),
        "pause": Whole(3, 12),
    },
    scenes=(
        (
            "{name} spends the day {job} in {rounds} rounds of {minutes} minutes with a break of {pause} "
            "minutes between one round and the next."
        ),
        (
            "The plan of {name} for {job}: {rounds} equal sessions, each {minutes} minutes long, and "
            "{pause} minutes of rest between sessions (none before the first or after the last)."
        ),
        (
            "While {job}, {name} always stops for {pause} minutes after {minutes} minutes, until the "
            "last of {rounds} such blocks is done; then the day is over at once."
        ),
    ),
    asks=asks_for(
        "the time in minutes from the first start to the last stop",
        analyze=(
            f"Separate work from rest and find {_LEAD}.",
            f"Take the day of {{name}} apart and determine {_LEAD}.",
        ),
        evaluate=(
            (
                f"{{claim}} minutes, says a friend who was asked {_LEAD}. Judge this answer and give "
                "the right number of minutes."
            ),
            (
                f"Two notes disagree about {_LEAD}; one of them says {{claim}}. Check it and give the "
                "number that holds."
            ),
        ),
    ),
    solve=_clock,
)


def _fractions(p: Params, level: BloomLevel) -> Solution:  # noqa: ARG001
    given = Fraction(p.total, p.first)
    rest = p.total - given
    sold = rest / p.second
    left = rest - sold
    return solution(
        left,
        [p.total - given - Fraction(p.total, p.second), sold, rest, given],
        f"One part in {p.first} of {p.total} is {p.total} / {p.first} = {show(given)}, "
        f"which leaves {show(rest)}.",
        f"One part in {p.second} of {show(rest)} is {show(sold)}.",
        f"What remains is {show(rest)} - {show(sold)} = {show(left)}.",
    )


FRACTIONS = Family(
    name="fractions",
    difficulty=0.5,
    slots={
        "name": Word(NAMES),
        "other": Word(NAMES),
        "item": Word(GOODS),
        "total": Whole(24, 720, 6),
        "first": Whole(2, 8),
        "second": Whole(2, 7),
    },
    scenes=(
        (
            "{name} has {total} {item}, gives 1/{first} of them to {other} and [sells|donates] "
            "1/{second} of what is left."
        ),
        "Of {total} {item}, {name} lends 1/{first} to {other}; of the rest, 1/{second} gets lost.",
        (
            "A crate holds {total} {item}. First {other} takes 1/{first} of them, then {name} hands out "
            "1/{second} of those that remain."
        ),
    ),
    asks=asks_for("the number of {item} that remain in the end"),
    solve=_fractions,
    fit=lambda p: (
        p.total % p.first == 0
        and (p.total - p.total // p.first) % p.second == 0
        and p.total % p.second == 0
        and p.total - p.total // p.first - p.total // p.second > 0
    ),
)

KEYWORDS = (
    node("unit rate", "travel shopping", core=True, needs="division, equal groups",
         also="rate per unit, unit price"),
    node("percentage discount", "shopping growth", core=True, needs="percentages",
         also="percent off, price reduction"),
    node("elapsed time", "clock travel", core=True, needs="units of time", also="time passed"),
    node("ratio sharing", "sharing", core=True, needs="ratios, equal parts",
         also="dividing in a ratio"),
    node("average speed", "travel", core=True, needs="unit rate, distance and time",
         also="mean speed"),
    node("fractions of a whole", "fractions", core=True, needs="division, equal parts",
         also="fractional parts"),
    node("multi-step word problems", "shopping clock fractions", core=True,
         needs="order of operations", also="several-step problems"),
    node("percentage increase", "growth", core=True, needs="percentages", also="percent growth"),
    node("total cost", "shopping", core=True, needs="multiplication, addition", also="overall cost"),
    node("proportional reasoning", "sharing travel", core=True, needs="ratios, equivalent fractions",
         also="proportion"),
    node("percentage decrease", "growth shopping", core=True, needs="percentages",
         also="percent loss"),
    node("remaining quantity", "fractions growth", core=True, needs="subtraction",
         also="amount left over"),
    node("division", "sharing fractions", needs="multiplication", also="dividing"),
    node("multiplication", "shopping clock", needs="addition, equal groups", also="multiplying"),
    node("addition", "shopping travel", also="adding up"),
    node("subtraction", "fractions clock", needs="addition", also="taking away"),
    node("equal groups", "clock sharing", needs="addition", also="groups of the same size"),
    node("equal parts", "sharing fractions", needs="division"),
    node("percentages", "growth shopping", needs="fractions of a whole", also="per cent"),
    node("ratios", "sharing", needs="division", also="ratio of two quantities"),
    node("units of time", "clock", also="hours and minutes"),
    node("distance and time", "travel", needs="units of time, unit rate"),
    node("equivalent fractions", "fractions sharing", needs="fractions of a whole"),
    node("order of operations", "shopping clock", needs="multiplication, addition"),
    node("place value", "shopping growth", also="value of digits"),
    node("estimation", "shopping travel", needs="rounding", also="estimating"),
    node("rounding", "growth shopping", needs="place value"),
    node("compound percentage change", "growth",
         needs="percentage increase, percentage decrease", also="repeated percentage change"),
    node("fraction of a remainder", "fractions",
         needs="fractions of a whole, remaining quantity", also="part of the rest"),
    node("comparing two quantities", "travel sharing", needs="subtraction", also="comparison"),
    node("working backwards", "fractions growth", needs="multi-step word problems"),
    node("scheduling with breaks", "clock", needs="elapsed time", also="timetable planning"),
    node("fence-post counting", "clock", needs="equal groups, scheduling with breaks",
         also="gaps between items"),
    node("combined rates", "travel", needs="average speed, unit rate", also="rates added together"),
    node("budget planning", "shopping", needs="total cost, percentage discount",
         also="planning a budget"),
    node("difference between shares", "sharing", needs="ratio sharing, comparing two quantities"),
    node("scaling a recipe", "sharing", needs="proportional reasoning"),
    node("two-stage journeys", "travel", needs="distance and time, addition"),
    node("bar models", "sharing fractions", needs="equal parts", also="strip diagrams"),
    node("checking a result", "growth clock", needs="estimation", also="verifying an answer"),
)  # fmt: skip

DOMAIN = Domain(
    task="gsm8k",
    families=(SHOPPING, TRAVEL, SHARING, GROWTH, CLOCK, FRACTIONS),
    keywords=KEYWORDS,
    asides=(
        "It is [a rainy|a sunny|an ordinary] [Tuesday|Friday|morning].",
        "[Nobody|No one] is in a hurry.",
        "The local paper [reported|wrote] about it.",
        "A [cousin|neighbour|teacher] is watching.",
        "This happened [last week|in May|before the holidays].",
    ),
)
