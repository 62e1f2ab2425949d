"""What tests ask of an error that `pytest.raises` caught."""


def message(raised):
    """Return its text."""
    return str(raised.value)


def explained(raised, *words):
    """Return whether an error has three lines, the last of which says what to type, and names all this."""
    lines = message(raised).split("\n")
    return len(lines) == 3 and lines[2].startswith("Fix: ") and all(word in message(raised) for word in words)
