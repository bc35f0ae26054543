"""Checks how easy the given files, and those of the given folders, are to read; fails beyond a limit.

Of Markdown: Flesch's reading ease, 206.835 - 1.015 words a sentence - 84.6 syllables a word (Flesch 1948), and the
length of the longest sentence. 60 to 70 is plain English, 30 to 50 a scientific text. Syllables are counted as groups
of vowels, so the figure compares drafts of these texts, not texts by others.

Of Markdown, Python, YAML and HTML: the phrases of retired_phrases.txt. Single words are in retired_words.txt, which
codespell reads.
"""

import re
import sys
from pathlib import Path

EASE = 50.0
"""Below it, shorten sentences or choose plainer words."""
WORDS = 50
"""Of a sentence, or of a part that a colon or semicolon ends, at the most."""
FEWEST = 5
"""A text with fewer sentences has no meaningful reading ease."""
SUFFIXES = {".md", ".py", ".yaml", ".html"}
"""The files of a folder that are read."""
GAP = r"""(?:[\s#]|["']\s*\n\s*f?["'])+"""
"""What may separate two words of a phrase: line breaks, marks of comments, quotes between the parts of a string."""


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


def hard(text: str) -> tuple[str, bool]:
    """A line about a Markdown text, and whether it is too hard to read."""
    found = sentences(text)
    figure, longest = ease(found), max(found, key=len)
    line = f"reading ease {figure:.0f}, {len(found)} sentences, the longest of {len(longest)} words"
    if (figure >= EASE or len(found) < FEWEST) and len(longest) <= WORDS:
        return line, False
    return f"{line}; hard to read (limits: {EASE:.0f}, {WORDS} words): {' '.join(longest[:20])} ...", True


def retired(text: str, phrases: dict[str, str]) -> list[str]:
    """The retired phrases of a text, each with its line number and what to write instead."""
    found = []
    for phrase, better in phrases.items():
        for match in re.finditer(rf"\b{GAP.join(map(re.escape, phrase.split()))}\b", text, re.IGNORECASE):
            found.append(f"{text.count(chr(10), 0, match.start()) + 1}: {phrase} ==> {better}")
    return found


def retired_phrases() -> dict[str, str]:
    """Each line of retired_phrases.txt is "phrase->better", as in codespell's dictionaries; # begins a comment."""
    lines = (Path(__file__).parent / "retired_phrases.txt").read_text().splitlines()
    return dict(line.split("->") for line in lines if line and not line.startswith("#"))


def main(names: list[str]) -> int:
    """Prints what was found; 1 if any text is too hard to read or has a retired phrase."""
    failed, phrases = False, retired_phrases()
    for path in map(Path, names):
        files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES) if path.is_dir() else [path]
        for file in files:
            text = file.read_text()
            if file.suffix == ".md":
                line, bad = hard(text)
                print(f"{file}: {line}", file=sys.stderr if bad else sys.stdout)
                failed |= bad
            for line in retired(text, phrases):
                print(f"{file}:{line}", file=sys.stderr)
                failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
