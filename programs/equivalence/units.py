"""Units and other words inside an expression: one symbol each, whatever their spelling.

They are kept apart and never converted: 5 cm is neither 5 m nor 50 mm nor 5.
"""

from __future__ import annotations

DEGREE, PERCENT = "°", "%"

_SPELLINGS = {
    "mm": "millimeter millimetre",
    "cm": "centimeter centimetre",
    "m": "meter metre",
    "km": "kilometer kilometre",
    "in": "inch inche",
    "ft": "foot feet",
    "yd": "yard",
    "mi": "mile",
    "mg": "milligram",
    "g": "gram",
    "kg": "kilogram",
    "lb": "pound",
    "oz": "ounce",
    "ml": "milliliter millilitre mL",
    "L": "liter litre",
    "s": "sec second",
    "min": "minute",
    "h": "hr hour",
    "day": "",
    "week": "",
    "year": "yr",
    "mph": "",
    "kmh": "kph",
    "mol": "mole",
    "Hz": "hertz",
    "kHz": "",
    "Pa": "pascal",
    "kPa": "",
    "kJ": "",
    "kW": "",
    "rad": "radian",
    "unit": "",
    "square": "sq",
    "cubic": "cu",
    DEGREE: "deg degree",
    PERCENT: "percent pct",
    "dollar": "",
    "cent": "",
    "gcd": "",
    "lcm": "",
    "mod": "",
}
_KNOWN = {
    spelling: unit for unit, others in _SPELLINGS.items() for spelling in (unit, *others.split())
}
_MIN_PLURAL = 3


def unit_of(word: str, *, known: bool = True) -> str:
    """Return the one spelling of a unit; with `known` empty where the word is no unit in the table."""
    for form in (word, word.casefold(), singular(word), singular(word.casefold())):
        if len(form) > 1 and form in _KNOWN:
            return _KNOWN[form]
    return "" if known else singular(word.casefold())


def singular(word: str) -> str:
    """Return a word without the `s` of its plural; `gas`, `ms` and `glass` stay."""
    if len(word) > _MIN_PLURAL and word.endswith("s") and not word.endswith("ss"):
        return word[:-1]
    return word
