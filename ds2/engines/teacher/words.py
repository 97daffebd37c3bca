"""Names and things that questions of several tasks are about."""

NAMES = (
    "Amara", "Anna", "Aziz", "Bela", "Bruno", "Carla", "Chidi", "Clara", "Daniel", "Dilara",
    "Elif", "Emil", "Farah", "Felix", "Gita", "Goran", "Hana", "Hugo", "Ines", "Ivan", "Jamal",
    "Jun", "Karim", "Kofi", "Lena", "Luca", "Maja", "Marta", "Mei", "Nadia", "Nils", "Noor",
    "Olga", "Omar", "Pablo", "Priya", "Quinn", "Rosa", "Samir", "Selma", "Tariq", "Tomas", "Uma",
    "Vera", "Wanda", "Xenia", "Yara", "Yusuf", "Zoe", "Zoran",
)  # fmt: skip

GOODS = (
    "notebooks", "pencils", "mugs", "candles", "postcards", "oranges", "melons", "lightbulbs",
    "batteries", "scarves", "plant pots", "paintbrushes", "puzzle boxes", "tins of soup",
    "bags of rice", "jars of honey", "packs of tea", "bars of soap", "rolls of tape",
    "balls of wool", "picture frames", "tennis balls", "water bottles", "seed packets",
    "key rings", "wooden spoons", "tea towels", "stickers", "magnets", "calendars",
)  # fmt: skip

PLACES = (
    "the market", "a corner shop", "the school fair", "a garden centre", "the museum shop",
    "a flea market", "the harbour store", "a village shop", "the town bazaar", "a farm stand",
    "the station kiosk", "a craft fair",
)  # fmt: skip

TOWNS = (
    "Alder", "Birchfield", "Corby", "Dunmore", "Eastwick", "Farrow", "Glenholt", "Harwood",
    "Ivybridge", "Kelso", "Larkhill", "Marden", "Norwell", "Oakham", "Penrose", "Quarley",
    "Redmere", "Stanton", "Thornby", "Upwell", "Westbrook", "Yarrow",
)  # fmt: skip
