"""Computes the answers that the tests compare the tools' with, in another way than the tools.

Run `python3 answers.py > answers.json` after a change of the files beside it.
"""

import difflib
import json
import re
import unicodedata
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
ABBREVIATIONS = ("Mr.", "Mrs.")
WORDS_PER_MINUTE = 238


def read(name):
    return (HERE / name).read_text(encoding="utf-8")


def words_of(text):
    """Words, character by character: letters, marks and digits, and single joiners between them."""
    found, word = [], ""
    for at, char in enumerate(text):
        following = text[at + 1] if at + 1 < len(text) else " "
        inside = unicodedata.category(char)[0] in "LMN"
        joins = word and unicodedata.category(following)[0] in "LMN" and (
            char in "'’-" or (char in ".," and word[-1].isdigit() and following.isdigit())
        )
        if inside or joins:
            word += char
        elif word:
            found.append(word)
            word = ""
    return found + ([word] if word else [])


def sentences_of(text):
    """Sentences: abbreviations lose their point, then every terminator before white space or the
    end of a paragraph ends one, unless a lower-case letter follows."""
    count = 0
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        for abbreviation in ABBREVIATIONS:
            paragraph = paragraph.replace(abbreviation, abbreviation[:-1])
        flat = " ".join(paragraph.split())
        ends = [m for m in re.finditer(r"[.!?]+[”\"']*(?= |$)", flat) if not re.match(r" \W*[a-z]", flat[m.end():])]
        count += len(ends) if ends and ends[-1].end() == len(flat) else len(ends) + 1
    return count


def stats(text):
    words = words_of(text)
    counts = Counter(word.lower().replace("’", "'") for word in words)
    sentences = sentences_of(text)
    return {
        "characters": len(text),
        "characters_without_spaces": len("".join(text.split())),
        "words": len(words),
        "unique_words": len(counts),
        "sentences": sentences,
        "lines": len(text.splitlines()),
        "paragraphs": len(re.findall(r"(?:^|\n\s*\n)(?=\S)", text)),
        "words_per_sentence": float(f"{len(words) / sentences:.1f}"),
        "reading_seconds": -(-len(words) * 60 // WORDS_PER_MINUTE),
        "top_words": [{"word": word, "count": count} for word, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:10]],
    }


def ascii_letters(char):
    """A Latin letter by its Unicode name: LATIN SMALL LETTER L WITH STROKE is an l."""
    if char.isascii():
        return char
    match = re.match(r"LATIN (?:SMALL|CAPITAL) (?:LETTER|LIGATURE) (DOTLESS I|SHARP S|\w+)", unicodedata.name(char, ""))
    names = {"DOTLESS I": "i", "SHARP S": "ss", "ETH": "d", "THORN": "th"}
    return names.get(match[1], match[1].lower()) if match else " "


def slug(title):
    text = "".join(char for char in unicodedata.normalize("NFKC", title) if not unicodedata.combining(char))
    text = re.sub(r"(?<=\w)['’](?=[^\W\d])", "", text)
    decomposed = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return "-".join(re.findall("[a-z0-9]+", "".join(map(ascii_letters, decomposed)).lower()))


def unified(before, after):
    """difflib's unified diff, with the note that diff prints for a missing last line break."""
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), "before.txt", "after.txt")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def diff(before, after):
    text = unified(before, after)
    marks = Counter(line[:2] for line in difflib.ndiff(before.splitlines(True), after.splitlines(True)))
    return {"identical": before == after, "added": marks["+ "], "removed": marks["- "], "hunks": text.count("\n@@ ") , "unified": text}


# As written, kind, URL, text and title of each link of notes.md.
LINKS = [
    ('[specification](https://spec.commonmark.org/0.31.2/ "CommonMark 0.31.2")', "link", "https://spec.commonmark.org/0.31.2/", "specification", "CommonMark 0.31.2"),
    ("[list of changes][changes]", "reference", "https://spec.commonmark.org/changelog.txt", "list of changes", "Changes"),
    ("<mailto:editor@example.org>", "autolink", "mailto:editor@example.org", "mailto:editor@example.org", None),
    ("editor@example.org,", "bare", "mailto:editor@example.org", "editor@example.org", None),
    ("<https://example.org/a?b=c&d=e>", "autolink", "https://example.org/a?b=c&d=e", "https://example.org/a?b=c&d=e", None),
    ("https://example.org/wiki/Link_(disambiguation)", "bare", "https://example.org/wiki/Link_(disambiguation)", "https://example.org/wiki/Link_(disambiguation)", None),
    ("https://example.net/path", "bare", "https://example.net/path", "https://example.net/path", None),
    ("www.example.com", "bare", "http://www.example.com", "www.example.com", None),
    ("[relative *target*](../README.md#links)", "link", "../README.md#links", "relative target", None),
    ('![a picture](images/picture.png "Picture")', "image", "images/picture.png", "a picture", "Picture"),
    ("[![badge](https://img.example.org/badge.svg)](https://ci.example.org/build)", "link", "https://ci.example.org/build", "badge", None),
    ("![badge](https://img.example.org/badge.svg)", "image", "https://img.example.org/badge.svg", "badge", None),
    ("[in a quotation](<https://example.org/with space>)", "link", "https://example.org/with space", "in a quotation", None),
    ("[a shortcut]", "reference", "mailto:someone@example.org", "a shortcut", None),
    ("https://bare.example.org", "bare", "https://bare.example.org", "https://bare.example.org", None),
]


def links(text):
    found = []
    for written, kind, url, shown, title in LINKS:
        assert text.count(written) == 1, written
        start = text.index(written)
        end = start + len(written.rstrip(","))
        link = {"kind": kind, "url": url, "text": shown, "title": title, "start": start, "end": end, "line": text.count("\n", 0, start) + 1}
        found.append({key: value for key, value in link.items() if value is not None})
    return {"count": len(found), "truncated": False, "links": found}


print(
    json.dumps(
        {
            "stats": stats(read("pride-and-prejudice.txt")),
            "links": links(read("notes.md")),
            "slugs": [slug(line) for line in read("slugs.txt").splitlines()],
            "diff": diff(read("before.txt"), read("after.txt")),
        },
        indent=2,
        ensure_ascii=False,
    )
)
