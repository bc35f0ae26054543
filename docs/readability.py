"""How easily texts are read: Flesch's reading ease of each, and its longest sentence; fails beyond a limit.

206.835 - 1.015 words a sentence - 84.6 syllables a word (Flesch 1948): 60 to 70 is plain English, 30 to 50 a scientific
text. Syllables are counted as groups of vowels, so the figure is good for comparing drafts, not texts of others.
"""

import re
import sys
from pathlib import Path

EASE = 50.0
"""Below it, shorten sentences or choose plainer words."""
WORDS = 50
"""Of a sentence, or of a part that a colon or semicolon ends, at the most."""
FEWEST = 5
"""Sentences below which a text has no reading ease to speak of."""


def sentences(text: str) -> list[list[str]]:
    """The words of each sentence of a Markdown text, without code, tables, headings, formulas and addresses."""
    text = re.sub(r"^(```|\$\$).*?\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^( {4}|\||#|!\[|:::).*$", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"\]\([^)]*\)|`[^`]*`|\$[^$]*\$|\d[\d.,]*", " ", text)
    parts = re.split(r"(?<=[.!?:;])\W*\s|\n\s*\n|^\s*(?:[-*]|\d+\.) ", text, flags=re.MULTILINE)
    return [words for part in parts if len(words := re.findall(r"[^\W\d_]{2,}", part)) > 2]


def syllables(word: str) -> int:
    """Groups of vowels, a silent e left out."""
    return max(1, len(re.findall(r"[aeiouy]+", re.sub(r"(?<=[^aeiouyl])e$|(?<!t|d)ed$", "", word.lower()))))


def ease(found: list[list[str]]) -> float:
    """Flesch's reading ease of sentences."""
    words = [word for sentence in found for word in sentence]
    return 206.835 - 1.015 * len(words) / len(found) - 84.6 * sum(map(syllables, words)) / len(words)


if __name__ == "__main__":
    hard = False
    for name in sys.argv[1:]:
        found = sentences(Path(name).read_text())
        figure, longest = ease(found), max(found, key=len)
        print(f"{name}: reading ease {figure:.0f}, {len(found)} sentences, the longest of {len(longest)} words")
        if (figure < EASE and len(found) >= FEWEST) or len(longest) > WORDS:
            hard = True
            print(f"  hard to read (limits: {EASE:.0f}, {WORDS} words): {' '.join(longest[:20])} ...", file=sys.stderr)
    sys.exit(hard)
