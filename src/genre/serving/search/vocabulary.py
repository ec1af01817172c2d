"""Words that people use for values of fields, where an item's field has another one. English; knows no items."""

from __future__ import annotations

SYNONYMS: dict[str, tuple[str, ...]] = {
    "sci fi": ("Science Fiction", "Sci-Fi"),
    "scifi": ("Science Fiction", "Sci-Fi"),
    "sf": ("Science Fiction", "Sci-Fi"),
    "science fiction": ("Sci-Fi",),
    "romantic": ("Romance",),
    "love story": ("Romance",),
    "love stories": ("Romance",),
    "funny": ("Comedy",),
    "comedic": ("Comedy",),
    "scary": ("Horror",),
    "animated": ("Animation",),
    "cartoon": ("Animation",),
    "documentary": ("Documentary",),
    "historical": ("History",),
    "musical": ("Music", "Musical"),
    "whodunit": ("Mystery",),
    "detective": ("Mystery", "Crime"),
    "kids": ("Family", "Children", "Children's"),
    "noir": ("Film-Noir",),
}
"""Folded words -> names of categories, of which the first that a field has is meant."""

GENRES = (
    "Action", "Adventure", "Animation", "Biography", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy",
    "History", "Horror", "Music", "Musical", "Mystery", "Romance", "Sport", "Thriller", "War", "Western",
    "Science Fiction",
)  # fmt: skip
"""Genres that people ask for, whether or not an item has them."""

AGE_RATINGS: tuple[tuple[str, ...], ...] = (
    ("G", "PG", "PG-13", "R", "NC-17"),
    ("TV-Y", "TV-Y7", "TV-G", "TV-PG", "TV-14", "TV-MA"),
    ("U", "PG", "12A", "15", "18"),
)
"""Scales of age ratings, from mild to strict."""
UNRATED = "NR"
FOR_CHILDREN = ("G", "PG", "TV-Y", "TV-Y7", "TV-G", "TV-PG", "U")

SERVICES = (
    "Netflix", "Hulu", "Disney+", "HBO Max", "Amazon Prime Video", "Apple TV+", "Paramount+", "Peacock", "MUBI",
    "Shudder", "Starz", "AMC+", "MGM+", "Crunchyroll", "Tubi", "Pluto TV", "Criterion Channel", "Showtime",
    "Britbox", "Kanopy", "fuboTV", "Philo", "YouTube Premium",
)  # fmt: skip
"""Streaming services that people have, whether or not an item is there."""

LANGUAGES = {
    "arabic": "ar", "chinese": "zh", "mandarin": "zh", "danish": "da", "dutch": "nl", "english": "en", "finnish": "fi",
    "french": "fr", "german": "de", "greek": "el", "hebrew": "he", "hindi": "hi", "italian": "it", "japanese": "ja",
    "korean": "ko", "norwegian": "no", "polish": "pl", "portuguese": "pt", "russian": "ru", "spanish": "es",
    "swedish": "sv", "thai": "th", "turkish": "tr", "ukrainian": "uk",
}  # fmt: skip
"""Names of languages -> codes, as fields may hold them."""

SUBJECTS = {
    "genre": r"genres?|kinds?|types?|categor\w+",
    "duration": r"length|runtime|running time|how long|duration|long",
    "rating": r"ratings?|scores?|stars|rated|reviews?",
    "age": r"age ratings?|content ratings?|certificat\w+",
    "day": r"years?|decades?|release\w*|age of|old|new",
    "available": r"services?|platforms?|where|streaming",
    "language": r"languages?",
    "price": r"prices?|costs?",
}
"""What a field is about -> words that name it."""
