"""What the guards know of C: the files, and text without comments."""
import glob
import re

TOKEN = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def files():
    """Return the C files of the project, in order."""
    return sorted(glob.glob("src/**/*.[ch]", recursive=True))


def read(path):
    """Return a file's text."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def blank(text, strings=True):
    """Return the text with comments (and what is in strings) blanked out.

    Every character keeps its place, and so does every line.
    """
    def spaces(match):
        token = match.group()
        if token[0] in "\"'":
            if not strings:
                return token
            return token[0] + " " * (len(token) - 2) + token[0]
        return re.sub(r"[^\n]", " ", token)
    return TOKEN.sub(spaces, text)


def line_of(text, at):
    """Return the number of the line that a position is in."""
    return text.count("\n", 0, at) + 1


def arguments(text, opening):
    """Return what stands between a parenthesis and the one that closes it."""
    depth = 0
    for at in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth == 0:
            return text[opening + 1:at]
    return text[opening + 1:]
