"""Small raw files of each kind, for the tests of the command line."""

import numpy as np
from PIL import Image


def houses(folder, name="houses.csv", rows=200, seed=0):
    """A table with numbers, gaps, words, a date and a number to predict."""
    random = np.random.default_rng(seed)
    size, town = random.uniform(30, 200, rows).round(1), random.choice(["Bern", "Rome", "Oslo"], rows)
    price = 3 * size + 100 * (town == "Rome") + random.normal(0, 10, rows)
    lines = ["id,size,town,built,price"]
    for row in range(rows):
        gap = "" if row % 11 == 0 else size[row]
        lines.append(f"{row + 1000},{gap},{town[row]},19{row % 60 + 30}-05-0{row % 9 + 1},{price[row]:.2f}")
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def passengers(folder, name="passengers.csv", rows=300, seed=0):
    """A table with two classes, and columns to slice by."""
    random = np.random.default_rng(seed)
    sex, cabin = random.choice(["male", "female"], rows), random.choice([1, 2, 3], rows)
    age = random.normal(40, 12, rows).round()
    lives = (sex == "female") ^ (random.random(rows) < 0.15)
    lines = ["Name,Sex,Pclass,Age,Survived"]
    for row in range(rows):
        lines.append(f"Person number {row} of {rows},{sex[row]},{cabin[row]},{age[row]:g},{int(lives[row])}")
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def photos(folder, name="photos", count=30, seed=0):
    """Pictures of several sizes in a folder for each class."""
    random = np.random.default_rng(seed)
    for kind, level in (("dark", 70), ("light", 180)):
        (folder / name / kind).mkdir(parents=True)
        for number in range(count):
            high, wide = random.integers(14, 22, 2)
            pixels = np.clip(random.normal(level, 30, (high, wide, 3)), 0, 255).astype(np.uint8)
            ending = "png" if number % 2 else "jpg"
            Image.fromarray(pixels).save(folder / name / kind / f"{number}.{ending}")
    return folder / name


def reviews(folder, name="reviews.csv", rows=200, seed=0):
    """A table with a column of texts and a class."""
    random = np.random.default_rng(seed)
    words = {"1": ["bad", "dull", "broken"], "5": ["fine", "great", "lovely"]}
    lines = ["stars,review"]
    for _ in range(rows):
        stars = str(random.choice(["1", "5"]))
        said = " ".join(random.choice([*words[stars], "the", "a", "thing", "was"], 7))
        lines.append(f'{stars},"{said}, number"')
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def play(folder, name="play.txt", rows=220, seed=0):
    """A play: who says which line."""
    random = np.random.default_rng(seed)
    words = {"king": ["crown", "sword", "war"], "fool": ["jest", "song", "wine"]}
    lines = []
    for _ in range(rows):
        who = str(random.choice(list(words)))
        lines += [f"{who.upper()}:", " ".join(random.choice([*words[who], "and", "the"], 6)), ""]
    (folder / name).write_text("\n".join(lines))
    return folder / name


def days(folder, name="days.csv", rows=260):
    """A series with a day and two columns."""
    lines = ["day,sold,rain"]
    for row in range(rows):
        lines.append(f"{np.datetime64('2024-01-01') + row},{50 + 20 * np.sin(row / 5):.3f},{row % 3}")
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name
